"""Made-up text with labelled names and times for the tagger `ner` (docs/labels.md): talk, tweets, news, sports, calls.

`templates/` has a file for each style, `lists.toml` what their slots are filled with, `templates` reads both, `filler`
fills one in, and `generate` gives training sequences.
"""
