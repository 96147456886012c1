"""Incremental tokenisation."""
