"""Speech recogniser formats, one file for each vendor."""
