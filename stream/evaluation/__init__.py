"""Offline evaluation of streaming labels."""
