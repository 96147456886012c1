"""Restart policies: the word from which labels are recomputed."""
