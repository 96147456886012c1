"""Records that the service writes: changelog, revisions, dead letters, transactions."""
