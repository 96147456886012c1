"""Fairness: how long a few words wait behind others' long texts, and behind more updates than can be labelled."""
