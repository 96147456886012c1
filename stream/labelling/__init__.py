"""Taggers as the engine sees them."""
