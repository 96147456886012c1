"""Labels to spans, diffs and emission."""
