"""Calibration: thresholds with a statistical guarantee."""
