"""What the embedded broker is good enough for, on Apache Kafka too."""

import pytest

from tests.consumers.kafka.test_embedded import (  # noqa: F401
    test_a_served_process_labels_buries_and_ends_by_a_signal,
    test_died_before_its_commit_the_next_one_does_it_again,
)
from tests.docs.test_guides import (  # noqa: F401
    steps,
    test_three_guides_one_after_another_on_one_broker_do_not_disturb_each_other,
)


@pytest.fixture
def broker(kafka: str) -> str:
    """In place of the embedded one."""
    return kafka
