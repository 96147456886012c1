"""Oracle over the topics: expected revisions compared with the published ones."""
