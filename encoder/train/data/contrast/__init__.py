"""Made-up short messages that train moderation with contrasts (docs/moderation.md): the same words, hateful or not.

`templates/` has a file for each kind of message, `lists.toml` what their slots are filled with and what a kind is worth
to each score, `templates` reads both, `message` fills one in, and `generate` gives training sequences.
"""
