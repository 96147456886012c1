"""Training: distillation of a hybrid from its bidirectional teacher, then the tagger (design: model.md, "Training")."""
