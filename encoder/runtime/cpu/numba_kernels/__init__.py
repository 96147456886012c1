"""Portable numba kernels."""
