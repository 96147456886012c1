"""`python -m benchmarks scale`: what restores, rebalances and rolling restarts of a group cost, and a model of it."""
