"""Training data: reading, augmentation and batching."""
