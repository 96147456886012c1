"""Fused AVX-512 layers."""
