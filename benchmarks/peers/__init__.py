"""`python -m benchmarks peers`: the same words through Hearken and through what one would use in its place.

Each neural peer has the tagger's own weights; whether its scores are theirs is checked before anything is timed.
Nothing here is imported by the service, and a peer whose packages are missing is left out and named.
"""

PIP = "pip install 'hearken[peers]'"
"""What brings all packages of all peers."""
