"""Leaf helpers that every sub-package of `consumers` may use."""
