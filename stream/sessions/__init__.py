"""Session state, snapshots and operations."""
