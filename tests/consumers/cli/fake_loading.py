"""`python -m tests.consumers.cli.fake_loading ARGUMENTS` is `hearken ARGUMENTS` whose taggers are word lists."""

import sys

import consumers.runtime.engine_factory as factory
from consumers.cli.main import main
from consumers.common.console import show_loading
from consumers.common.redaction import NO_REDACTION, RedactionSettings
from consumers.common.settings import EngineSettings
from stream.engine.engine import Engine
from tests.consumers.fakes import build_fake_engine


def build_engine(settings: EngineSettings, redaction: RedactionSettings = NO_REDACTION) -> Engine:
    """As `consumers.runtime.engine_factory.build_engine`, with the same sign that something loads."""
    with show_loading(f"tagger {', '.join(settings.taggers)}"):
        return build_fake_engine(settings, redaction)


if __name__ == "__main__":
    factory.build_engine = build_engine
    factory.check_engine = lambda _: None
    sys.exit(main())
