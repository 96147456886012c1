"""Received text to queued operations."""
