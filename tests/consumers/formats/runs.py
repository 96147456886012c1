"""Values of a format through a real engine with a labeller of word lists, in one life or in several."""

from collections.abc import Sequence
from pathlib import Path

from consumers.formats.base import Format, FormatContext, read_value
from consumers.formats.decode import BadInput
from consumers.formats.registry import FORMATS
from encoder.restart.policies import Always
from stream.engine.engine import Engine
from stream.ingest.received import ReceivedSegment
from stream.messages.types import Message, Revision
from stream.sessions.snapshot import Entry, restore_sessions
from tests.stream.cuts import through_bytes
from tests.stream.fake_tagger import fake_labeller
from tests.stream.helpers import drain

SESSION = "call-1"
FIXTURES = Path(__file__).parent / "fixtures"


class Run:
    """One format, one session (unless values name theirs), any number of lives.

    Args:
        name: the format's.
        session: what the records' key says; None: the values say it.
        coalesce: as a live service does.
        group: values between two steps.
    """

    def __init__(self, name: str, session: str | None = SESSION, coalesce: bool = False, group: int = 1) -> None:
        self.format: Format = FORMATS[name]
        self.session = session
        self.coalesce = coalesce
        self.group = group
        self.engine = self._engine()
        self.told: list[list[Message]] = []
        self.revisions: list[Revision] = []
        self.log: list[Entry] = []
        self.bad: list[BadInput] = []

    def _engine(self) -> Engine:
        return Engine(fake_labeller("ner"), Always(), coalesce=self.coalesce)

    def tell(self, values: Sequence[bytes], first: int = 0) -> "Run":
        """Read values, and step after each group of them."""
        for begin in range(0, len(values), self.group):
            for offset, value in enumerate(values[begin : begin + self.group], first + begin):
                self._take(value, offset)
            for result in drain(self.engine):
                assert not result.failures
                self.revisions += result.revisions
                self.log += result.entries
        return self

    def _take(self, value: bytes, offset: int) -> None:
        try:
            context = FormatContext(self.session, offset, self.engine.intake.segments)
            messages = read_value(self.format, value, context).messages
        except BadInput as error:
            self.bad.append(error)
            return
        names = [getattr(x, "segment", None) for x in messages]
        assert len(set(names)) == len(names), "more than one message for a segment"
        for message in messages:
            self.engine.submit(message, offset)  # what a format gives is never refused
        self.told.append(messages)

    def die(self, kept: int) -> None:
        """Go on in another engine with the first entries that were kept."""
        self.log = self.log[:kept]
        saved = restore_sessions(through_bytes(self.log))
        self.log += [entry for x in saved.values() for entry in x.repairs]
        self.engine = self._engine()
        for session, state in saved.items():
            self.engine.restore(state, session)

    def segments(self, session: str = SESSION) -> dict[str, ReceivedSegment]:
        return dict(self.engine.intake.segments(session))

    def texts(self, session: str = SESSION) -> dict[str, str]:
        """Segments that stand, open ones marked."""
        return {name: x.text if x.closed else f"{x.text} ..." for name, x in self.segments(session).items()}

    def finals(self, session: str = SESSION) -> list[str]:
        return [x.text for x in self.segments(session).values() if x.closed]

    def open(self, session: str = SESSION) -> list[str]:
        return [x.text for x in self.segments(session).values() if not x.closed and x.text.strip()]


def fixture(name: str) -> list[bytes]:
    """The values of a format's fixture."""
    path = next(FIXTURES.glob(f"{name}.*"))
    text = path.read_text(encoding="utf-8").strip("\n")
    return [part.encode() for part in text.split("\n\n" if path.suffix == ".vtt" else "\n")]


def said(heard: ReceivedSegment) -> list[tuple[str, float, float, str | None]]:
    """Words of a segment with their times and speakers."""
    words = zip(heard.text.split(), heard.times, strict=True)
    return [(word, x.start, x.end, x.speaker) for word, x in words if x is not None]
