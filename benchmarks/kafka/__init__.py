"""Both ends of a Kafka around a service that is a process of its own, for `python -m benchmarks kafka`.

What speakers say and when (talk.py), the process (served.py), the open loop that sends and reads (load.py), one run
and its figures (run.py), and the search for how many speakers one core carries (search.py).
"""
