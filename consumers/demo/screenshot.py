"""Picture of the live view, taken in the middle of a run (docs/demo.svg)."""

import io
import time
from pathlib import Path

from rich.console import Console

from consumers.demo.terminal_view import LiveView, View
from consumers.demo.transcript import Flip, Transcript, Turn

WIDTH, HEIGHT = 108, 30


class ScreenshotView:
    """Forwards to another view, and writes one SVG of a terminal that shows the same.

    Args:
        view: the view on the terminal.
        transcript: what both show.
        path: file to write.
        after: seconds from the first revision to the picture.
    """

    def __init__(self, view: View, transcript: Transcript, path: Path, after: float) -> None:
        self._view = view
        self._path = path
        self._after = after
        self._first_revision: float | None = None
        self._title = ""
        self._console = Console(
            record=True, width=WIDTH, height=HEIGHT, force_terminal=True, color_system="truecolor", file=io.StringIO()
        )
        self._live = LiveView(self._console, transcript)

    def start(self, title: str) -> None:
        """See `View`."""
        self._title = title
        self._view.start(title)

    def add_revision(self, turn: Turn, tagger: str, flips: list[Flip]) -> None:
        """See `View`."""
        self._first_revision = self._first_revision or time.monotonic()
        self._live.add_revision(turn, tagger, flips)
        self._view.add_revision(turn, tagger, flips)

    def draw(self, status: str) -> None:
        """Write the picture once it is due: at a moment that shows a flip, or one second later in any case."""
        due = None if self._first_revision is None else time.monotonic() - self._first_revision - self._after
        if due is not None and due >= 0 and (self._live.shows_flip() or due > 1) and not self._path.exists():
            self._console.print(self._live.picture(status))
            self._console.save_svg(str(self._path), title=f"hearken demo: {self._title}")
        self._view.draw(status)

    def stop(self) -> None:
        """See `View`."""
        self._view.stop()
