"""An engine without a model for the consumers' tests, and the command line with it in place of the real one.

`python -m tests.consumers.fakes ARGUMENTS` is `hearken ARGUMENTS` that labels from word lists.
"""

import sys

import consumers.building
from consumers.cli import main
from consumers.settings import SettingError
from encoder.restart import Last
from stream.engine import Engine
from tests.stream.fake_tagger import FakeLabeller


def fake_engine(
    tagger: str, policy: str, *, coalesce: bool, idle_seconds: float | None = None, **others: object
) -> Engine:
    """As build_engine; the word "poison" makes labelling fail."""
    if tagger != "ner":
        raise SettingError("tagger", f"{tagger!r} is unknown")
    return Engine(
        FakeLabeller(["poison"]),
        Last(3),
        coalesce=coalesce,
        idle_seconds=idle_seconds,
    )


if __name__ == "__main__":
    consumers.building.build_engine = fake_engine
    sys.exit(main())
