"""HTTP: health, metrics, labels on request, streams without Kafka, and a page to watch. No tensors here."""
