"""Rules for personal data: a tagger that is a pure function of the text.

`words` gives the words of a line, `spoken` reads digits, letters and signs off them, `numbers` makes runs of these and
`labels` decides what a run is, with the shapes and check digits of `checks`. `web`, `dates` and `streets` are detectors
of their own, `user` has the rules of a user. `reader` puts them together, and `merge` joins spans with a model's.

Every detector reads the words from left to right and says from which word on its result may still change. Nothing here
knows of sessions, of models or of how text arrives.
"""
