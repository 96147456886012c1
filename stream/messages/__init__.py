"""The public message contract: types, validation, word times."""
