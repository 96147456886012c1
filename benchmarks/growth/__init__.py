"""`python -m benchmarks growth`: cost of a word as something grows, and its distance from the limits of the machine.

Each part has a module, a result that is written as JSON, and a full and a quick size.
"""
