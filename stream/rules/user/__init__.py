"""Rules of a user: the file, and where on a text may still become a match of its patterns."""
