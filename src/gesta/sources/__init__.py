"""What brings executions in from elsewhere: one module per file format, independent of each other.

Every source turns a file into a stream of `row.Item`: rows, documents, and refusals that name their line. A file that
cannot be read at all is one `row.FileError`. Nothing else escapes, whatever the bytes.
"""
