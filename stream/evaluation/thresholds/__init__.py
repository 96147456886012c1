"""Thresholds of one score that do what a threshold of another score did."""
