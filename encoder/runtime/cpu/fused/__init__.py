"""Fused layers: made for AVX-512, in float32 for any processor."""
