"""Simulated activity for `gesta demo`: pure generators of what happens, and the driver that records it.

Everything it makes says so: names begin with "Simulated", the source is `simulated`, the origin `gesta-demo`.
"""
