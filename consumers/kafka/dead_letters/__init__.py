"""Listing and replaying of dead letters."""
