"""The live page: its session model, feed, subscribers and static files."""
