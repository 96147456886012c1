"""Output of `hearken tag` for people: whole segments instead of revisions."""
