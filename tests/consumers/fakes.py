"""An engine without a model for the consumers' tests, and the command line with it in place of the real one.

`python -m tests.consumers.fakes ARGUMENTS` is `hearken ARGUMENTS` that labels from word lists.
"""

import sys
from collections.abc import Sequence

import consumers.runtime.engine_factory
from consumers.cli.main import main
from consumers.common.redaction import NO_REDACTION, RedactionSettings
from consumers.common.settings import EngineSettings, SettingError
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.redaction.policy import RedactionPolicy
from stream.sessions.redactor import Redactor
from tests.stream.fake_tagger import fake_labeller


def fake_engine(
    taggers: Sequence[str],
    policy: str = "",
    *,
    coalesce: bool,
    idle_seconds: float | None = None,
    redaction: RedactionPolicy | None = None,
) -> Engine:
    """An engine that labels from word lists; the word "poison" makes labelling fail."""
    if unknown := set(taggers) - {"ner", "speech", "speech@other", "punctuation", "scored"}:
        raise SettingError("tagger", f"{sorted(unknown)} are unknown")
    return Engine(
        fake_labeller(*taggers, poison=["poison"]),
        Last(3),
        coalesce=coalesce,
        idle_seconds=idle_seconds,
        redactor=redaction and Redactor(redaction),
    )


def build_fake_engine(settings: EngineSettings, redaction: RedactionSettings = NO_REDACTION) -> Engine:
    """As `consumers.runtime.engine_factory.build_engine`."""
    return fake_engine(
        settings.taggers,
        coalesce=settings.coalesce,
        idle_seconds=settings.idle_seconds,
        redaction=redaction.make_policy(frozenset({"person", "place"})),
    )


if __name__ == "__main__":
    consumers.runtime.engine_factory.build_engine = build_fake_engine
    consumers.runtime.engine_factory.check_engine = lambda _: None
    consumers.runtime.engine_factory.tagger_names = lambda settings: tuple(settings.taggers)
    sys.exit(main())
