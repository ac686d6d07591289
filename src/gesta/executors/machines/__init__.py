"""The machines: one module per executor type, pure."""
