"""Shared rules of chats: a message is a closed segment of its channel; edits replace it, deletes remove it.

The text of a message is what people see, each part once: the text itself, then the parts that are shown with it and say
something else (blocks, embeds, attachments, forwarded messages), each on a line of its own.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from consumers.formats.base import FormatContext, Ignored, IgnoredReason
from stream.messages.types import Delete, Message, Update
from stream.messages.validation import MAX_TEXT


class ChatChannel:
    """Changes that one value makes to one channel; the last change of each message counts."""

    def __init__(self, context: FormatContext, session: str) -> None:
        self._session = session
        self._existing = context.segments(session)
        self._changes: dict[str, Update | None] = {}
        self._without_text = False

    def text_of(self, name: str) -> str:
        """Text of a message as it stands; empty if it is unknown."""
        return self._existing[name].text if name in self._existing else ""

    def write(self, name: str, text: str, author: str | None, time: float | None = None) -> None:
        """Write or edit a message. One without text (a picture, a join) is ignored, unless it had text before."""
        if text.strip() or name in self._existing or self._changes.get(name):
            self._changes[name] = Update(
                session=self._session, segment=name, text=text, final=True, time=time, speaker=author
            )
        else:
            self._without_text = True

    def delete(self, name: str) -> None:
        """Delete a message."""
        self._changes[name] = None

    def delete_by_author(self, author: str) -> None:
        """Delete all messages of an author."""
        self._delete_matching(lambda speaker: speaker == author)

    def delete_all(self) -> None:
        """Delete all messages of the channel."""
        self._delete_matching(lambda _: True)

    def messages(self, otherwise: IgnoredReason) -> list[Message | Ignored]:
        """Return one message for each changed segment; only existing segments are deleted.

        Args:
            otherwise: why there is none, if neither a text nor a message to delete is missing.
        """
        updates = [x for x in self._changes.values() if x is not None]
        deleted = [name for name, x in self._changes.items() if x is None and name in self._existing]
        if updates or deleted:
            return [*(Delete(session=self._session, segment=name) for name in deleted), *updates]
        return [Ignored("no_text" if self._without_text else "nothing_to_delete" if self._changes else otherwise)]

    def _delete_matching(self, matches: Callable[[str | None], bool]) -> None:
        speakers = {name: x.speaker for name, x in self._existing.items()}
        speakers |= {name: x.speaker for name, x in self._changes.items() if x is not None}
        for name, speaker in speakers.items():
            if matches(speaker):
                self.delete(name)


def join_seen(text: str, parts: Iterable[str | None]) -> str:
    """Return a text followed by the parts that say something else, a line each.

    A part whose letters and digits stand in what precedes it is left out: platforms send words in several forms.
    """
    shown, letters, length = [text] if text.strip() else [], _letters(text), len(text)
    for part in parts:
        if part is None or not part.strip():
            continue
        said = _letters(part)
        if said in letters if said else part.strip() in shown:
            continue
        shown.append(part.strip() if shown else part)
        letters += " " + said
        length += len(part)
        if length > MAX_TEXT:  # it will be refused
            break
    return "\n".join(shown) if shown else text


def _letters(text: str) -> str:
    return "".join(x for x in text.casefold() if x.isalnum())


def parse_timestamp(stamp: str | None) -> float | None:
    """Convert an ISO 8601 time with zone to seconds since 1970; None if it is not one."""
    try:
        moment = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
