"""`python -m benchmarks moderation`: what a moderation tagger flags, on text written for it (docs/moderation.md)."""
