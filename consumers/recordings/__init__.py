"""Recorded streams: readers and replay."""
