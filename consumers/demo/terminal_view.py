"""Views of the demo: a live picture on a terminal, plain lines elsewhere."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumers.demo.transcript import Flip, Transcript, Turn

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green", "bright_magenta")


class View(Protocol):
    """Display of a transcript."""

    def start(self, title: str) -> None:
        """Begin with a title."""

    def add_revision(self, turn: Turn, tagger: str, flips: list[Flip]) -> None:
        """Show a revision of a tagger."""

    def draw(self, status: str) -> None:
        """Draw the current state; called at regular intervals."""

    def stop(self) -> None:
        """End."""


class Palette:
    """Colours of labels, in order of first appearance."""

    def __init__(self) -> None:
        self.colours: dict[str, str] = {}

    def colour(self, label: str) -> str:
        """Colour of a label, always the same."""
        return self.colours.setdefault(label, COLOURS[len(self.colours) % len(COLOURS)])

    def legend(self) -> Text:
        """All labels so far, in their colours."""
        return Text("  ").join(Text(label, style=colour) for label, colour in self.colours.items())


def paint(turn: Turn, palette: Palette) -> Text:
    """Text of a segment coloured by label; dim while it is open, reversed where a label has just changed.

    Spans of several taggers may overlap; a shorter one is drawn over a longer one.
    """
    text = Text(hide_controls(turn.text), style="" if turn.final else "dim", overflow="fold")
    spans = []
    for tagger in turn.spans:
        for span in turn.visible_spans(tagger):
            style = palette.colour(span.label) + (" bold" if turn.final else " dim")
            spans.append((style + (" reverse" if span.id in turn.flipped[tagger] else ""), span.start, span.end))
    for style, start, end in sorted(spans, key=lambda x: x[1] - x[2]):
        text.stylize(style, start, end)
    return text


def annotate(turn: Turn, tagger: str) -> str:
    """Text of a segment with one tagger's labels as [words](label)."""
    parts = []
    end = 0
    for span in turn.visible_spans(tagger):
        parts += [turn.text[end : span.start], f"[{span.text}]({span.label})"]
        end = span.end
    return "".join(parts) + turn.text[end:]


def flip_text(flip: Flip) -> str:
    """Text of a flip."""
    if flip.now is None:
        return hide_controls(f"{flip.segment}: '{flip.before}' is no {flip.was} any more ({flip.cause})")
    return hide_controls(f"{flip.segment}: '{flip.before}' {flip.was} -> '{flip.after}' {flip.now} ({flip.cause})")


def hide_controls(text: str) -> str:
    """Replace each control character by a space, since a terminal must not obey texts; offsets stay the same."""
    return text if text.isprintable() else "".join(x if x.isprintable() else " " for x in text)


class PlainView:
    """Closed segments and flips, one line each; with several taggers, one line for each tagger."""

    def __init__(self, console: Console, several: bool = False) -> None:
        self._console = console
        self._several = several

    def start(self, title: str) -> None:
        """See `View`."""
        self._line(title)

    def add_revision(self, turn: Turn, tagger: str, flips: list[Flip]) -> None:
        """See `View`."""
        whose = f"{tagger}  " if self._several else ""
        for flip in flips:
            self._line(f"  flip  {whose}{flip_text(flip)}")
        if turn.final:
            self._line(f"{turn.segment}  {whose}{annotate(turn, tagger)}")

    def draw(self, status: str) -> None:
        """Nothing changes between two revisions."""

    def stop(self) -> None:
        """Nothing has to be restored."""

    def _line(self, line: str) -> None:
        self._console.print(hide_controls(line), markup=False, highlight=False, soft_wrap=True)


class LiveView:
    """Newest segments, drawn in place, with the newest flips below."""

    def __init__(self, console: Console, transcript: Transcript) -> None:
        self._console = console
        self._transcript = transcript
        self._palette = Palette()
        self._flips: deque[Flip] = deque(maxlen=4)
        self._title = ""
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=True)

    def start(self, title: str) -> None:
        """Start drawing on the terminal."""
        self._title = title
        self._live.start()

    def add_revision(self, turn: Turn, tagger: str, flips: list[Flip]) -> None:
        """See `View`; it is visible with the next `draw`."""
        self._flips.extend(flips)

    def draw(self, status: str) -> None:
        """See `View`."""
        self._live.update(self.picture(status), refresh=True)

    def stop(self) -> None:
        """Restore the terminal; the last segments stay visible."""
        self._live.stop()
        for row in self._rows(limit=6):
            self._console.print(row)

    def picture(self, status: str) -> RenderableType:
        """Content of the terminal."""
        height = max(4, self._console.height - len(self._flips) - 6)
        flips = [Text(f"flip  {flip_text(x)}", style="dim", no_wrap=True, overflow="ellipsis") for x in self._flips]
        head, rows, foot = Text(self._title, style="bold"), self._rows(height), Text(status, style="dim")
        return Group(head, *rows, Text(), *flips, self._palette.legend(), foot)

    def _rows(self, limit: int) -> list[Table]:
        """Newest segments that fit into `limit` lines, oldest first."""
        rows: list[Table] = []
        for turn in reversed(self._transcript.turns.values()):
            limit -= 1 + len(turn.text) // max(20, self._console.width - 16)
            if limit < 0 and rows:
                break
            row = Table.grid(padding=(0, 2))
            row.add_column(width=12, no_wrap=True, overflow="ellipsis")
            row.add_column()
            row.add_row(Text(turn.segment, style="bold" if turn.final else "dim"), paint(turn, self._palette))
            rows.append(row)
        return rows[::-1]


def make_view(console: Console, transcript: Transcript, taggers: Sequence[str]) -> View:
    """View for a console: live on a terminal, plain elsewhere."""
    return LiveView(console, transcript) if console.is_terminal else PlainView(console, len(taggers) > 1)
