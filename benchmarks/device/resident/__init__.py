"""Resident step: a whole step of the engine on the GPU, from pinned upload to changed labels.

Outside of the product until the engine uses it: only `python -m benchmarks device` and the tests run it (docs/gpu.md).
"""
