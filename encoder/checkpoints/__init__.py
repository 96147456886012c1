"""Checkpoint files: reading, naming, calibration; and the shipped checkpoints."""
