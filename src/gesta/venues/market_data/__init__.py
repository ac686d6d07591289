"""Market data: recordings, and a simulated market."""
