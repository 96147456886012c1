"""Sentences of live text, by the tagger `punctuation`, and segments that close at their ends."""
