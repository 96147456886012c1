"""Speech recogniser formats, one file a vendor."""
