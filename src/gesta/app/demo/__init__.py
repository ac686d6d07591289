"""Activity for `gesta demo`: a strategy and executors that trade on the paper venue, and a pure generator of runs with
the driver that records them.

No money is in it, and all of it says so: the market and its fills have the source `simulated`, the connectors of the
executors say that they are paper, the names of runs begin with "Simulated".
"""
