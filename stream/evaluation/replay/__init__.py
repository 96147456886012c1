"""Replay of text through a labeller, word by word or message by message."""
