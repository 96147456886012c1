"""Import of BERT-family checkpoints: reading them, converting them to hybrids, measuring the loss, distillation.

Reads only `config.json`, safetensors and the tokenizer's files: no code of a checkpoint is run, and transformers is not
needed.
"""
