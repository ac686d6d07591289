"""Benchmarks: every figure is a ratio to a floor or a peer that was timed in the same run, lap by lap in turn."""
