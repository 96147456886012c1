"""Generated dialogue with labelled personal data, to train a tagger `pii` with (docs/personal-data.md).

`templates/` has the dialogues, `slots` and `persons` draw the values, `speech` says them as people do, `dialogue` puts
both together, and `generate` gives training sequences.
"""
