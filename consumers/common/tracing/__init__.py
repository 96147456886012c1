"""Traces that cross the service: their context, and spans of what it does."""
