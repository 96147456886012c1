"""Processes from start to signal: serve, listen, tag, and the worker supervisor."""
