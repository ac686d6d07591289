"""What performs the nodes that reach beyond the run: one module for each kind."""
