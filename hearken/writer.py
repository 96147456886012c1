"""Builder of messages: what a speaker says as `replace`, `append`, `close`, without naming each segment."""

from collections.abc import Iterable

from hearken.messages import Delete, End, Message, Update, WordTime


class MessageWriter:
    """Messages of one session, which remembers the segment that is being written.

    Segments that are not named are numbered from "1". `close` ends the current one, and the next text opens another.

    >>> writer = MessageWriter("call-17")
    >>> writer.replace("we met").segment, writer.close().segment, writer.replace("then").segment
    ('1', '1', '2')
    """

    def __init__(self, session: str) -> None:
        self.session = session
        """Name of the session."""
        self.current: str | None = None
        """The segment that text without a name belongs to; None: the next text opens one."""
        self._opened = 0

    def replace(
        self,
        text: str,
        segment: str | None = None,
        *,
        final: bool = False,
        time: float | None = None,
        words: Iterable[WordTime] | None = None,
        speaker: str | None = None,
        channel: str | None = None,
    ) -> Update:
        """Return the message that sets the text of a segment.

        Args:
            text: the whole text of the segment as it stands now.
            segment: its name; by default the one that is being written, else a new one.
            final: whether the source intends not to rewrite it again; it closes then.
            time, words: seconds at which it was spoken, and those of each of its words.
            speaker, channel: of the segment.
        """
        name = self._open(segment, final)
        times = None if words is None else tuple(words)
        return Update(
            session=self.session,
            segment=name,
            text=text,
            final=final,
            time=time,
            words=times,
            speaker=speaker,
            channel=channel,
        )

    def append(
        self, text: str, segment: str | None = None, *, final: bool = False, speaker: str | None = None
    ) -> Update:
        """Return the message that adds text, with its spaces, to the end of a segment."""
        name = self._open(segment, final)
        return Update(session=self.session, segment=name, text=text, mode="append", final=final, speaker=speaker)

    def close(self, segment: str | None = None) -> Update:
        """Return the message that closes a segment with the text that it has; by default the one that is written.

        Raises:
            ValueError: no segment is being written.
        """
        if segment is None and self.current is None:
            raise ValueError("no segment is open: there is nothing to close")
        return self.append("", segment, final=True)

    def delete(self, segment: str) -> Delete:
        """Return the message that removes a segment."""
        if self.current == segment:
            self.current = None
        return Delete(session=self.session, segment=segment)

    def end(self) -> End:
        """Return the message that ends the session; its open segments close."""
        self.current = None
        return End(session=self.session)

    def notice(self, message: Message) -> None:
        """Take note of a message that was not built here, so that text without a name goes on in its segment."""
        if isinstance(message, Update):
            self._open(message.segment, message.final)
        elif isinstance(message, End) or message.segment == self.current:
            self.current = None

    def _open(self, segment: str | None, final: bool) -> str:
        name = segment or self.current
        if name is None:
            self._opened += 1
            name = str(self._opened)
        if not final:
            self.current = name
        elif name == self.current:
            self.current = None
        return name
