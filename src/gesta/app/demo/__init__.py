"""Activity for `gesta demo`: a strategy and executors that trade on the paper venue, workflows that really run and call
a small HTTP service, and the people around them.

No money is in it, and all of it says so: the market and its fills have the source `simulated`, the connectors of the
executors say that they are paper, the page where runs are paid says that nothing is charged.
"""
