"""Rules for topics; their creation and checks."""
