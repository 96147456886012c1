"""A picture of the live view, taken in the middle of a real run: what the README shows."""

import io
import time
from pathlib import Path

from rich.console import Console

from consumers.demo.terminal_view import LiveView, View
from consumers.demo.transcript import Flip, Transcript, Turn

WIDTH, HEIGHT = 108, 30


class ScreenshotView:
    """Passes everything on to a view, and writes one SVG of a terminal that shows the same, some seconds in.

    Args:
        view: what is shown otherwise.
        path: file to write.
        after: seconds from the first revision on.
    """

    def __init__(self, view: View, transcript: Transcript, path: Path, after: float) -> None:
        self._view = view
        self._path = path
        self._after = after
        self._began: float | None = None
        self._title = ""
        self._console = Console(
            record=True, width=WIDTH, height=HEIGHT, force_terminal=True, color_system="truecolor", file=io.StringIO()
        )
        self._live = LiveView(self._console, transcript)

    def start(self, title: str) -> None:
        """Say what is shown."""
        self._title = title
        self._view.start(title)

    def revised(self, turn: Turn, tagger: str, flips: list[Flip]) -> None:
        """A revision came."""
        self._began = time.monotonic() if self._began is None else self._began
        self._live.revised(turn, tagger, flips)
        self._view.revised(turn, tagger, flips)

    def tick(self, status: str) -> None:
        """Take the picture when it is due: at a moment that shows a flip, or a second later at any."""
        due = None if self._began is None else time.monotonic() - self._began - self._after
        if due is not None and due >= 0 and (self._live.shows_flip() or due > 1) and not self._path.exists():
            self._console.print(self._live.picture(status))
            self._console.save_svg(str(self._path), title=f"hearken demo: {self._title}")
        self._view.tick(status)

    def stop(self) -> None:
        """Nothing more comes."""
        self._view.stop()
