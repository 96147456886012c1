"""Training: distillation of a hybrid from its bidirectional teacher, then the tagger (docs/architecture.md)."""
