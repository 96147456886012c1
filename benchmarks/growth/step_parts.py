"""Parts of a step: where the processor time of a word goes, the layers of the encoder apart from all else.

Every session says a word a step, each at another word of its segment, so that one in `SEGMENT` closes. The service's
work on bytes is measured with it: records in, revisions and states out.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec

from benchmarks.growth.subject import SEGMENT, load_subject
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Columns, Table, make_table
from benchmarks.harness.texts import make_texts, speak_in_turns
from consumers.formats.decode import decode_message
from consumers.kafka.output.changelog import encode_entry
from encoder.restart.policies import parse_policy
from encoder.tagger import Tagger
from stream.engine import engine as engine_module
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller

LAYERS = "layers"
PARTS = {
    "read": "JSON to messages",
    "submit": "validate, compare with what was received, queue",
    "schedule": "take operations",
    "tokenise": "texts to tokens, as far as they changed",
    "plan": "restart points",
    "passes": "bookkeeping of the encoder's cache",
    LAYERS: "the encoder's layers and score columns",
    "decode": "scores to labels",
    "compare": "spans, emission, settled text, differences",
    "commit": "state, revisions and entries as objects",
    "revisions": "revisions to JSON",
    "states": "entries to MessagePack",
}
"""What each part does, in order."""


class StepPartRow(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time of one part."""

    part: str
    does: str
    us_a_word: float
    """Median over the steps, in microseconds."""
    share: float
    """Of all parts."""


def parts_tables(rows: Sequence[StepPartRow]) -> list[Table]:
    """Lay out the parts, and what all but the layers take together."""
    rest = [row for row in rows if row.part != LAYERS]
    together = StepPartRow(
        part="all but the layers",
        does="",
        us_a_word=sum(x.us_a_word for x in rest),
        share=sum(x.share for x in rest),
    )
    columns: Columns[StepPartRow] = {
        "part": lambda x: x.part,
        "what it does": lambda x: x.does,
        "us a word": lambda x: f"{x.us_a_word:.1f}",
        "share": lambda x: f"{100 * x.share:.1f} %",
    }
    return [make_table("processor time of a word by part of a step", [*rows, together], columns, 2)]


class _Clock:
    """Adds processor time to the part that runs; a part that calls another one is charged without it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._part = "read"
        self._since = time.process_time()

    def switch(self, part: str) -> str:
        """Charge the time since the last call to the part that ran; `part` runs now. Returns the former."""
        now, before = time.process_time(), self._part
        self.seconds[before] += now - self._since
        self._part, self._since = part, now
        return before

    def wrap(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` so that its time is charged to a part."""

        def timed(*args: Any, **options: Any) -> Any:
            before = self.switch(part)
            try:
                return work(*args, **options)
            finally:
                self.switch(before)

        return timed

    def take(self) -> dict[str, float]:
        """Return the seconds by part since the last call."""
        taken, self.seconds = self.seconds, dict.fromkeys(PARTS, 0.0)
        return taken


def measure_parts(name: str, policy: str, sessions: int, steps: int, progress: ReportProgress) -> list[StepPartRow]:
    """Measure the parts of `steps` steps of a tagger, after each session has said a segment.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    subject = load_subject(name, policy, max_sessions=sessions)
    tagger = subject.tagger
    texts = make_texts(sessions, SEGMENT)
    messages = (msgspec.json.encode(message) for _, message in speak_in_turns(texts, 1.0))
    clock = _Clock()
    with _timed_tagger(tagger, clock):
        engine = Engine(HybridLabeller(tagger), parse_policy(subject.policy))
        taken, number = list[dict[str, float]](), 0
        for step in range(SEGMENT + steps):
            progress("steps", step / (SEGMENT + steps))
            values = list(islice(messages, sessions))
            clock.switch("read")
            clock.take()
            _run_step(engine, values, number, clock)
            clock.switch("read")
            number += len(values)
            taken.append(clock.take())
    for name in engine.intake.sessions:
        engine.drop(name)
    engine.step()
    return _rows(taken[SEGMENT:], sessions)


def _run_step(engine: Engine, values: Sequence[bytes], number: int, clock: _Clock) -> None:
    """Take one record of each session, and encode all that comes of them."""
    messages = [decode_message(value) for value in values]
    clock.switch("submit")
    for offset, message in enumerate(messages, number):
        engine.submit(message, offset)
    while engine.pending:
        clock.switch("schedule")
        result = engine.step()
        clock.switch("revisions")
        outbox: dict[tuple[str, str], list[bytes]] = {}
        for revision in result.revisions:
            key = revision.session, revision.segment
            outbox.setdefault(key, []).append(msgspec.json.encode(revision))
        clock.switch("states")
        for entry in result.entries:
            encode_entry(entry, outbox.get((entry.session, entry.segment or ""), ()))


@contextmanager
def _timed_tagger(tagger: Tagger, clock: _Clock) -> Iterator[None]:
    """Time the methods of a tagger, of its labeller and of the engine while they are used in here."""
    body: Any = tagger.encoder
    places: list[tuple[Any, str, str]] = [
        (Engine, "_label", "plan"),
        (tagger.tokenizer, "update", "tokenise"),
        (HybridLabeller, "compute", "passes"),
        (body, "_compute", LAYERS),
        (HybridLabeller, "decode", "decode"),
        (Engine, "_emit", "compare"),
        (engine_module, "commit_changes", "commit"),
    ]
    before = [(owner, name, vars(owner).get(name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, clock.wrap(part, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, found in before:
            delattr(owner, name) if found is None else setattr(owner, name, found)


def _rows(taken: Sequence[dict[str, float]], sessions: int) -> list[StepPartRow]:
    us = {part: 1e6 * statistics.median(x[part] for x in taken) / sessions for part in PARTS}
    total = sum(us.values())
    return [
        StepPartRow(part=part, does=does, us_a_word=us[part], share=us[part] / total) for part, does in PARTS.items()
    ]
