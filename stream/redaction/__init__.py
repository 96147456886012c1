"""Redacted live text: what may be released of a segment's text, with covered values replaced. Knows no tagger."""
