"""Fault injection suite: `python -m tests.faults`."""
