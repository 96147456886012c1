"""Checkpoints of Hugging Face's BERT family."""
