"""Load control: governor, compute budget and restart pricing."""
