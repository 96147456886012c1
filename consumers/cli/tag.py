"""`hearken tag`: labels for lines of standard input, without a broker."""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from consumers.cli.flags import Select
from consumers.cli.options import FormatOption, SessionOption
from consumers.common.logs import configure_logging
from consumers.common.redaction import RedactionSettings
from consumers.common.settings import OFFLINE, EngineSettings, SettingError, setting


@dataclass(frozen=True, kw_only=True)
class TagCommand:
    """Settings of `hearken tag`."""

    input: Annotated[
        Literal["updates", "text"],
        setting("Lines: updates (messages as JSON), or text (each line is a closed segment).", panel="Messages"),
    ] = "updates"
    format: FormatOption = "normal"
    session: SessionOption = None
    final_only: Annotated[
        bool, setting("Write only revisions of closed segments.", "--final-only", panel="Messages")
    ] = False
    engine: Annotated[
        EngineSettings,
        Select(
            "tagger policy stability score_threshold settled_threshold publish_settled device number_format", **OFFLINE
        ),
    ]
    redaction: RedactionSettings


def tag(settings: TagCommand) -> int:
    """Label lines of standard input; revisions, or with --redact redacted updates, go to standard output."""
    configure_logging("info")
    from consumers.formats.ignored import IgnoredRecords
    from consumers.formats.line_reader import LineReader
    from consumers.formats.readers import NORMAL, check_format, make_reader, open_line_reader
    from consumers.runtime.engine_factory import build_engine, check_engine

    check_format(settings.format)
    is_text = settings.input == "text"
    if is_text and settings.format != NORMAL:
        raise SettingError("format", "lines of text are of no format: leave --input or --format out")
    check_engine(settings.engine)
    engine = build_engine(settings.engine, settings.redaction)
    from consumers.runtime.tag_lines import TEXT_SESSION, TextReader, tag_input

    configure_logging("warning")
    ignored = IgnoredRecords(warn=False)
    reader = TextReader() if is_text else make_reader(settings.format, engine.intake.segments, TEXT_SESSION, ignored)
    open_lines = LineReader if is_text else partial(open_line_reader, settings.format)
    if sys.stdin.isatty():
        print(f"reading {settings.input} from the terminal, one per line; Ctrl-D ends", file=sys.stderr)
    return tag_input(engine, reader, settings.final_only, settings.session, open_lines, ignored)
