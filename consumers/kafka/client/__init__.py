"""Kafka connections, their security and diagnosis, and topic readers."""
