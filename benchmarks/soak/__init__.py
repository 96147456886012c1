"""`python -m benchmarks soak`: memory, latency and labels in an hour of load with hostile records among it."""
