"""Redacted streams on the live page: their messages as messages in normal form, and revisions with the words that their
spans are on.
"""

from collections.abc import Sequence

import msgspec

from stream.messages.types import Delete, End, Message, Revision, Span, Update
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedOutput


def fill_texts(revision: Revision, text: str, standing: Sequence[Span]) -> Revision:
    """Return a revision whose spans have the words that they are on, which a service that redacts leaves out.

    Args:
        revision: its offsets are of `text`.
        text: of the segment.
        standing: the spans of the revision before it, with their words.
    """
    if all(x.text for x in revision.spans) and all(x.text for x in revision.retracted):
        return revision
    before = {x.id: x.text for x in standing}
    return msgspec.structs.replace(
        revision,
        spans=tuple(msgspec.structs.replace(x, text=text[x.start : x.end]) for x in revision.spans),
        retracted=tuple(msgspec.structs.replace(x, text=before[x.id]) for x in revision.retracted if x.id in before),
    )


def to_normal_form(output: RedactedOutput) -> Message:
    """Return a redacted message as a message in normal form."""
    message = output.message
    session = message.session
    if isinstance(message, RedactedEnd):
        return End(session=session)
    if isinstance(message, RedactedDelete):
        return Delete(session=session, segment=message.segment)
    return Update(
        session=session,
        segment=message.segment,
        text=message.text,
        final=message.final,
        speaker=message.speaker,
        channel=message.channel,
    )
