"""Streams of language models, so that a model's own words are labelled while it writes: one module each."""
