"""Fault tests on Apache Kafka: load, workers that are killed, stopped and scaled, and the oracle's verdict on it."""
