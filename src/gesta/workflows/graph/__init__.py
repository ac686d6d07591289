"""What a workflow is and how a run of it stands: pure functions over frozen values."""
