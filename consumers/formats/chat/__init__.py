"""Chat formats, one file a vendor."""
