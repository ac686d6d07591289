"""Clock, ids, times, JSON and errors. Imports the standard library and msgspec only."""
