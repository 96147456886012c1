"""`python -m tests.kafka`: one line if the tests on Apache Kafka do not run here; nothing if they do."""

from tests.kafka.rig import why_not

if __name__ == "__main__" and (reason := why_not()):
    print(f"NOT RUN: the tests on Apache Kafka, because {reason}")
