"""The outside world: Kafka, standard input, formats, the command line. Touches no tensor."""
