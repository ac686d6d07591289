"""Activity for `gesta demo`: a strategy that trades on the paper venue, and pure generators of executors and runs with
the driver that records them.

Nothing of it is real, and all of it says so: the market and its fills have the source `simulated`, the names of
executors and runs begin with "Simulated".
"""
