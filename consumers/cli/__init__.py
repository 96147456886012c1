"""Command line: one file a command; a command parses and prints, the work is done elsewhere."""
