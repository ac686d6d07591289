"""The record: envelope, life cycle, store verbs, totals, feed, migrations.

Edges import values from `records`, `lifecycle` and `query` only; the store is reached through `desk`.
"""
