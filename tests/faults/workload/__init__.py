"""Synthetic input of fault runs and benchmarks."""
