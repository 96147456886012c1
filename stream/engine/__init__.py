"""Engine: the micro-batching step and its compute thread."""
