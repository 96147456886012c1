"""Chat formats, one file for each vendor."""
