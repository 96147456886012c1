"""Encoder sessions over cache slots."""
