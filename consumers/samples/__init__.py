"""The stream that `hearken replay` and the demonstration play, and how it was made."""
