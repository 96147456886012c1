"""Measures of whole texts: scores, place in a chat, earliness of the verdict."""
