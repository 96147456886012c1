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

TEXT = "text"
"""`--format text` is `--input text`."""


@dataclass(frozen=True, kw_only=True)
class TagCommand:
    """Settings of `hearken tag`."""

    input: Annotated[
        Literal["updates", "text"],
        setting(
            "Lines: updates (messages as JSON), or text (each line is a closed segment; with --auto-close it is running"
            " text).",
            panel="Messages",
        ),
    ] = "updates"
    format: FormatOption = "normal"
    session: SessionOption = None
    final_only: Annotated[
        bool, setting("Write only revisions of closed segments.", "--final-only", panel="Messages")
    ] = False
    output: Annotated[
        Literal["revisions", "text"],
        setting(
            "Lines: revisions (as JSON), or text (of each segment when it closes, with punctuation and capitals by the"
            " tagger punctuation).",
            panel="Messages",
        ),
    ] = "revisions"
    auto_close: Annotated[
        bool,
        setting(
            "Close segments at sentence ends, by the tagger punctuation: for input that never closes them.",
            "--auto-close",
            panel="Messages",
        ),
    ] = False
    auto_close_words: Annotated[
        int,
        setting("Words that must follow a sentence end before its segment closes.", panel="Messages", min=1, max=256),
    ] = 8
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
    from consumers.formats.readers import (
        NORMAL,
        ClosingReader,
        MessageReader,
        check_format,
        make_reader,
        open_line_reader,
    )
    from consumers.runtime.engine_factory import build_engine, check_engine

    is_text = settings.input == "text" or settings.format == TEXT
    if not is_text:
        check_format(settings.format)
    elif settings.format not in (NORMAL, TEXT):
        raise SettingError("format", "lines of text are of no format: leave --input or --format out")
    if settings.redaction.redact is not None and (settings.output == "text" or settings.auto_close):
        name = "auto_close" if settings.auto_close else "output"
        raise SettingError(name, "--redact writes redacted updates of the segments as they come; leave one of them out")
    check_engine(settings.engine)
    _check_punctuation(settings)
    engine = build_engine(settings.engine, settings.redaction)
    from consumers.runtime.tag_lines import TEXT_ENDS, TEXT_SESSION, RunningTextReader, TextReader, tag_input
    from stream.sentences.auto_close import AutoClose

    configure_logging("warning")
    ignored = IgnoredRecords(warn=False)
    auto_close = AutoClose(settings.auto_close_words) if settings.auto_close else None
    reader: MessageReader
    if is_text:
        reader = TextReader() if auto_close is None else RunningTextReader()
    else:
        reader = make_reader(settings.format, engine.intake.segments, TEXT_SESSION, ignored)
    if auto_close is not None:
        reader = ClosingReader(reader, auto_close)
    open_lines = LineReader if is_text else partial(open_line_reader, settings.format)
    if sys.stdin.isatty():
        print(
            f"reading {'text' if is_text else 'updates'} from the terminal, one per line; Ctrl-D ends", file=sys.stderr
        )
    return tag_input(
        engine,
        reader,
        settings.final_only,
        settings.session,
        open_lines,
        ignored,
        auto_close,
        as_text=settings.output == "text",
        ends=TEXT_ENDS if is_text and auto_close is not None else (),
    )


def _check_punctuation(settings: TagCommand) -> None:
    """Check that what needs the tagger `punctuation` has it.

    Raises:
        SettingError: it is not among the taggers, or the format names its segments itself.
    """
    from consumers.formats.readers import NORMAL
    from consumers.runtime.engine_factory import tagger_names
    from stream.sentences.split import PUNCTUATION

    wanted = {"auto_close": settings.auto_close, "output": settings.output == "text"}
    option = next((name for name, given in wanted.items() if given), None)
    names = tagger_names(settings.engine) if option else ()
    if option and PUNCTUATION not in names:
        raise SettingError(
            option, f"this needs the tagger {PUNCTUATION}, and there is {', '.join(names)}: add --tagger {PUNCTUATION}"
        )
    if settings.auto_close and settings.format not in (NORMAL, TEXT):
        raise SettingError(
            "auto_close", f"messages of {settings.format} close their segments themselves; this is for text and updates"
        )
