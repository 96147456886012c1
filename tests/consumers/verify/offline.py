"""Reference for final labels: the same text labelled a whole segment at a time, compared with revisions of a run."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from consumers.verify.revision_checker import Key, TaggedKey
from stream.engine.engine import Engine
from stream.messages.types import Delete, End, Message, Revision, Update


def closing_messages(messages: Iterable[Message]) -> Iterator[Message]:
    """Reduce a stream to the same text fed whole segments: closing texts, edits and deletes of closed ones.

    What is open when its session ends closes with the text that it has, in the order of opening.
    """
    opened: dict[str, dict[str, Update]] = {}
    closed: set[Key] = set()
    for message in messages:
        if isinstance(message, Update):
            waiting = opened.setdefault(message.session, {})
            key = (message.session, message.segment)
            before = waiting.get(message.segment)
            if before and message.mode == "append":
                message = replace(message, text=before.text + message.text, mode="replace")
            if message.final or key in closed:
                waiting.pop(message.segment, None)
                closed.add(key)
                yield message
            else:
                waiting[message.segment] = message
        elif isinstance(message, Delete):
            opened.get(message.session, {}).pop(message.segment, None)
            if (message.session, message.segment) in closed:
                closed.discard((message.session, message.segment))
                yield message
        else:
            for update in opened.pop(message.session, {}).values():
                yield replace(update, mode="replace", final=True)
            yield message


def label_offline(engine: Engine, messages: Iterable[Message]) -> dict[TaggedKey, Revision]:
    """Label a stream a whole segment at a time with a fresh engine; returns each tagger's last ones."""
    last: dict[TaggedKey, Revision] = {}
    for offset, message in enumerate(closing_messages(messages)):
        engine.submit(message, offset)
        if engine.pending >= 256 or isinstance(message, End):
            _drain(engine, last)
    _drain(engine, last)
    return last


def _drain(engine: Engine, last: dict[TaggedKey, Revision]) -> None:
    while engine.pending:
        for revision in engine.step().revisions:
            last[revision.tagger, revision.session, revision.segment] = revision


def edited_segments(messages: Iterable[Message]) -> set[Key]:
    """Find the segments that change after they closed."""
    closed: set[Key] = set()
    edited: set[Key] = set()
    for message in messages:
        if isinstance(message, End):
            continue
        key = (message.session, message.segment)
        if key in closed:
            edited.add(key)
        if isinstance(message, Delete) or message.final:
            closed.add(key)  # a segment that was taken back may be spoken anew
    return edited


def compare_finals(
    messages: list[Message], seen: dict[TaggedKey, Revision], offline: dict[TaggedKey, Revision]
) -> tuple[int, list[str]]:
    """Compare the final labels that were read with the offline ones.

    Returns:
        How many segments agree, counted for each tagger, and for each that does not one line.
    """
    deleted = {(m.session, m.segment) for m in messages if isinstance(m, Delete)}
    wrong = []
    for key, wanted in offline.items():
        got = seen.get(key)
        where = f"session {key[1]}, segment {key[2]}, tagger {key[0]}"
        if got is None or not (got.final or key[1:] in deleted):
            wrong.append(f"{where}: no final revision was read")
        elif _places(got) != _places(wanted):
            wrong.append(f"{where}: final labels are not the offline ones")
    return len(offline) - len(wrong), wrong


def _places(revision: Revision) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in revision.spans]
