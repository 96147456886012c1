"""`hearken tag`: labels for lines of standard input, without a broker."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from consumers.cli.flags import Select
from consumers.cli.options import FormatOption, SessionOption, check_session
from consumers.common.logs import configure_logging
from consumers.common.redaction import RedactionSettings
from consumers.common.settings import OFFLINE, EngineSettings, SettingError, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.runtime.segment_output.text_output import SegmentOutput
    from stream.engine.engine import Engine

JSON_LINES = ("jsonl", "revisions")
"""Values of `--output` that write messages."""
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
        Literal["jsonl", "text", "srt", "vtt", "live", "revisions"] | None,
        setting(
            "What is written: jsonl (revisions), text (of each segment when it closes, with punctuation and capitals by"
            " the tagger punctuation), srt or vtt (captions with labels, when the input ends), or live (coloured text)."
            " revisions is jsonl.",
            panel="Messages",
            show_default="live on a terminal, else jsonl",
        ),
    ] = None
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
    settings.redaction.hide_personal_data()
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

    check_session(settings.session)
    is_text = settings.input == "text" or settings.format == TEXT
    if not is_text:
        check_format(settings.format)
    elif settings.format not in (NORMAL, TEXT):
        raise SettingError("format", "lines of text are of no format: leave --input or --format out")
    output = _choose_output(settings)
    if settings.redaction.redact is not None and (output not in JSON_LINES or settings.auto_close):
        name = "auto_close" if settings.auto_close else "output"
        raise SettingError(name, "--redact writes redacted updates of the segments as they come; leave one of them out")
    if is_text and output in ("srt", "vtt"):
        raise SettingError("output", "lines of text have no times, which captions need; give updates or a format")
    check_engine(settings.engine)
    _check_punctuation(settings)
    engine = build_engine(settings.engine, settings.redaction)
    from consumers.runtime.tag_lines import TEXT_SESSION, RunningTextReader, TextReader, tag_input
    from stream.messages.types import End
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
    with _open_output(output, engine) as segment_output:
        return tag_input(
            engine,
            reader,
            settings.final_only,
            settings.session,
            open_lines,
            ignored,
            auto_close,
            segment_output,
            (End(session=settings.session or TEXT_SESSION),) if is_text and auto_close is not None else (),
        )


def _choose_output(settings: TagCommand) -> str:
    """Return what is written: without --output live text on a terminal, unless an option speaks of messages."""
    if settings.output is not None:
        return settings.output
    for_programs = settings.final_only or settings.redaction.redact is not None
    return "live" if sys.stdout.isatty() and not for_programs else "jsonl"


@contextmanager
def _open_output(output: str, engine: "Engine") -> "Iterator[SegmentOutput | None]":
    """Give what writes whole segments; None where revisions are written."""
    segments, thresholds = engine.intake.segments, engine.score_thresholds
    if output == "text":
        from consumers.runtime.segment_output.text_output import TextOutput

        yield TextOutput(segments, thresholds)
    elif output in ("srt", "vtt"):
        from consumers.runtime.segment_output.caption_output import CaptionOutput

        yield CaptionOutput("srt" if output == "srt" else "vtt", segments)
    elif output == "live":
        from rich.console import Console

        from consumers.demo.live_text import LiveText

        console = Console()
        with LiveText(console, segments, thresholds, animated=console.is_terminal and not sys.stdin.isatty()) as view:
            yield view
    else:
        yield None


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
