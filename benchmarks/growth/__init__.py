"""`python -m benchmarks growth`: what a word costs as something grows, and how near that is to what the machine could
do.

Each part has a file, a result that is written as JSON, and a size in full and in short.
"""
