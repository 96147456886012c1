"""Draws docs/demo.svg, the picture of `hearken demo`: `python -m tests.docs.demo_picture`."""

import asyncio
import io
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import consumers.demo.demo
from consumers.common.settings import EngineSettings
from consumers.demo.demo import Demo
from consumers.demo.terminal_view import LiveView, View, make_view
from consumers.demo.transcript import Flip, Transcript, Turn

WIDTH, HEIGHT = 108, 30
PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"
SPEED, AFTER = 10.0, 20.0
"""Speed of the replay; seconds from the first revision to the picture."""


class PictureView:
    """View that forwards to another one, and writes one SVG of a terminal that shows the same."""

    def __init__(self, view: View, transcript: Transcript, path: Path = PICTURE, after: float = AFTER) -> None:
        self._view = view
        self._transcript = transcript
        self._path = path
        self._after = after
        self._first_revision: float | None = None
        self._title = ""
        self._written = False
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
        due = -1.0 if self._first_revision is None else time.monotonic() - self._first_revision - self._after
        if due >= 0 and (self._shows_flip() or due > 1) and not self._written:
            self._console.print(self._live.picture(status))
            self._console.save_svg(str(self._path), title=f"hearken demo: {self._title}")
            self._written = True
        self._view.draw(status)

    def stop(self) -> None:
        """See `View`."""
        self._view.stop()

    def _shows_flip(self) -> bool:
        turns = list(self._transcript.turns.values())[-6:]
        return any(any(turn.flipped.values()) and not turn.final for turn in turns)


def make_picture_view(console: Console, transcript: Transcript, taggers: Sequence[str]) -> View:
    """Make the view of the demo, with the picture."""
    return PictureView(make_view(console, transcript, taggers), transcript)


if __name__ == "__main__":
    consumers.demo.demo.make_view = make_picture_view
    asyncio.run(Demo(engine=EngineSettings(idle_seconds=None, overload_seconds=0.0), speed=SPEED).run())
