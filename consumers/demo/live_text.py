"""Coloured live text on a terminal: of `hearken tag`, and of what `hearken replay` sends.

Closed segments are printed for good, open ones are drawn in place below them, and the newest changes of labels under
these.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumers.demo.terminal_view import Palette, flip_text, hide_controls, paint
from consumers.demo.transcript import Flip, Transcript, Turn
from consumers.formats.base import Segments
from stream.messages.types import Delete, Message, Revision, Update

KEPT = 200
"""Segments that are remembered, so that an edit shows what it changed."""
FLIPS = 3
FRAMES = 12
"""Pictures in a second."""


class LiveText:
    """View of sessions on a terminal; use it as a context, so that the terminal is restored.

    Args:
        console: the terminal.
        segments: returns the segments of a session as received, for texts that are appended to; None: the view adds
            up what it hears.
        thresholds: of text scores, by tagger and name; scores at or above them are shown.
        animated: draw open segments in place. Otherwise each revision is a line: somebody types there.
        foot: what stands under the text, such as a bar of progress.

    Attributes:
        problems: see `consumers.runtime.segment_output.text_output.SegmentOutput`; it has none.
        revisions: number of revisions that were seen.
    """

    def __init__(
        self,
        console: Console,
        segments: Callable[[str], Segments] | None = None,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        animated: bool = True,
        foot: RenderableType | None = None,
    ) -> None:
        self._console = console
        self._segments = segments
        self._thresholds = thresholds or {}
        self._foot = foot
        self._transcript = Transcript()
        self._palette = Palette()
        self._flips: deque[Flip] = deque(maxlen=FLIPS)
        self._speakers: dict[tuple[str, str], str] = {}
        self._scores: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
        """Text scores by segment and tagger."""
        self._seen: dict[tuple[str, str], None] = {}
        """Segments with revisions that are not printed yet."""
        self._printed: dict[tuple[str, str], None] = {}
        self.problems: list[str] = []
        self.revisions = 0
        self._drawn: RenderableType = Text()
        live = Live(
            get_renderable=self._draw,
            console=console,
            refresh_per_second=FRAMES,
            vertical_overflow="visible",
            transient=True,
        )
        self._live = live if animated else None

    def __enter__(self) -> "LiveText":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        for key, turn in self._transcript.turns.items():
            if key not in self._printed and turn.text:
                self._console.print(self._row(key, turn))
        if self._palette.colours:
            self._console.print(self._palette.legend())

    def hear(self, message: Message) -> None:
        """Show the text of a message."""
        if isinstance(message, Update):
            key = message.session, message.segment
            self._transcript.add_message(message)
            received = self._segments(message.session).get(message.segment) if self._segments else None
            if received is not None:
                self._transcript.turns[key].text = received.text
            if name := message.speaker or message.channel:
                self._speakers[key] = name
            while len(self._transcript.turns) > KEPT:
                self._drop(next(iter(self._transcript.turns)))
        elif isinstance(message, Delete):
            key = message.session, message.segment
            if key in self._printed:
                self._console.print(Text(hide_controls(f"{self._name(key)}: deleted by its source"), style="dim"))
            self._forget(key)

    def see(self, revision: Revision) -> None:
        """Show the labels of a revision with the next picture."""
        key = revision.session, revision.segment
        self.revisions += 1
        if key not in self._transcript.turns:
            return  # its source has deleted it
        self._flips.extend(self._transcript.apply_revision(revision))
        self._scores.setdefault(key, {})[revision.tagger] = revision.scores or {}
        self._seen[key] = None

    def write_closed(self) -> Iterator[bytes]:
        """Print the segments that have closed; nothing is left to write."""
        for key in self._seen:
            turn = self._transcript.turns.get(key)
            if turn is not None and (turn.final or self._live is None):
                self._console.print(self._row(key, turn))
                self._printed.pop(key, None)
                self._printed[key] = None
        self._seen.clear()
        return iter(())

    def finish(self) -> Iterator[bytes]:
        """Nothing is left to write."""
        return self.write_closed()

    def _drop(self, key: tuple[str, str]) -> None:
        """Forget the oldest segment; it is printed first if it has not been."""
        if key not in self._printed:
            self._console.print(self._row(key, self._transcript.turns[key]))
        self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        self._transcript.turns.pop(key, None)
        for names in (self._speakers, self._scores, self._seen, self._printed):
            names.pop(key, None)

    def _draw(self) -> RenderableType:
        """Draw from the thread of the picture, while segments change: one that has just changed waits for the next."""
        with suppress(RuntimeError):
            self._drawn = self._picture()
        return self._drawn

    def _picture(self) -> RenderableType:
        """Open segments, as many as fit on the terminal, with the newest flips below."""
        room = max(3, self._console.height - FLIPS - 4)
        rows: list[Table] = []
        for key, turn in reversed(list(self._transcript.turns.items())):
            room -= 1 + len(turn.text) // max(20, self._console.width - 16)
            if key in self._printed:
                continue
            if room < 0 and rows:
                break
            rows.append(self._row(key, turn))
        flips = [Text(flip_text(x), style="dim", no_wrap=True, overflow="ellipsis") for x in list(self._flips)]
        return Group(*rows[::-1], *flips, *([self._palette.legend()] if self._palette.colours else []), *self._feet())

    def _feet(self) -> list[RenderableType]:
        return [] if self._foot is None else [self._foot]

    def _row(self, key: tuple[str, str], turn: Turn) -> Table:
        row = Table.grid(padding=(0, 2))
        row.add_column(width=12, no_wrap=True, overflow="ellipsis")
        row.add_column(overflow="fold")
        row.add_row(Text(self._name(key), style="bold" if turn.final else "dim"), self._paint(key, turn))
        return row

    def _paint(self, key: tuple[str, str], turn: Turn) -> Text:
        text = paint(turn, self._palette)
        scores = self._scores.get(key, {})
        for tagger, limits in self._thresholds.items():
            for name, score in scores.get(tagger, {}).items():
                if score >= limits.get(name, 1.0):
                    text.append(f"  [{name} {score:.2f}]", style=f"{self._palette.colour(name)} not dim")
        return text

    def _name(self, key: tuple[str, str]) -> str:
        return hide_controls(self._speakers.get(key, key[1]))
