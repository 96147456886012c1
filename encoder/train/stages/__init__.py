"""Training stages: distillation, tagging, stability."""
