"""Streaming metrics and reports."""
