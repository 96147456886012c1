"""Verification of topics: expected revisions compared with the published ones."""
