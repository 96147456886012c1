"""The service: consume loop, partitions, rebalances and commits."""
