"""Brokers for demo, tests and benchmarks: embedded and Apache Kafka."""
