"""The Kafka service: input, output, topics, clients and brokers."""
