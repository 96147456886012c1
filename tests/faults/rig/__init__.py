"""Broker, workers and producer of a fault run."""
