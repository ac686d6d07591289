"""Named statements of workflows and runs."""
