"""Other people's BERT-family checkpoints become hybrids: reading them, saying what that costs, healing them.

Reads `config.json`, safetensors and the tokenizer's files alone; nothing here may run code that comes with a
checkpoint, and nothing here needs transformers.
"""
