"""`python -m benchmarks kafka`: live speakers end to end through Kafka, against a service in a process of its own."""
