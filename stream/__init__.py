"""Text updates in, label revisions out. Knows nothing of Kafka, HTTP or vendors' formats."""
