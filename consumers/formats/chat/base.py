"""Shared rules of chats: a message is a closed segment of its channel; edits replace it, deletes remove it."""

from collections.abc import Callable
from datetime import datetime

from consumers.formats.base import FormatContext
from stream.messages.types import Delete, Message, Update


class ChatChannel:
    """Changes that one value makes to one channel; the last change of each message counts.

    Args:
        context: of the vendor message.
        session: name of the channel.
    """

    def __init__(self, context: FormatContext, session: str) -> None:
        self._session = session
        self._existing = context.segments(session)
        self._changes: dict[str, Update | None] = {}

    def write(self, name: str, text: str, author: str | None, time: float | None = None) -> None:
        """Write or edit a message. One without text (a picture, a join) is ignored, unless it had text before."""
        if text.strip() or name in self._existing or self._changes.get(name):
            self._changes[name] = Update(
                session=self._session, segment=name, text=text, final=True, time=time, speaker=author
            )

    def delete(self, name: str) -> None:
        """Delete a message."""
        self._changes[name] = None

    def delete_by_author(self, author: str) -> None:
        """Delete all messages of an author."""
        self._delete_matching(lambda speaker: speaker == author)

    def delete_all(self) -> None:
        """Delete all messages of the channel."""
        self._delete_matching(lambda _: True)

    def messages(self) -> list[Message]:
        """Return one message for each changed segment; only existing segments are deleted."""
        updates = [x for x in self._changes.values() if x is not None]
        deleted = [name for name, x in self._changes.items() if x is None and name in self._existing]
        return [*(Delete(session=self._session, segment=name) for name in deleted), *updates]

    def _delete_matching(self, matches: Callable[[str | None], bool]) -> None:
        speakers = {name: x.speaker for name, x in self._existing.items()}
        speakers |= {name: x.speaker for name, x in self._changes.items() if x is not None}
        for name, speaker in speakers.items():
            if matches(speaker):
                self.delete(name)


def parse_timestamp(stamp: str | None) -> float | None:
    """Convert an ISO 8601 time with zone to seconds since 1970; None if it is not one."""
    try:
        moment = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
