"""Tagger heads: scores to labels and their stability."""
