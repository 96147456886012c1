"""Golden streams: recorded events with what the reducers and the resumable streams of all languages make of them.

    python -m tests.hearken.golden

writes tests/golden/*.json. The clients for Python and TypeScript are tested with the same files; both languages leave
out what is empty, false, 0 or null before they compare.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hearken import Delete, End, Event, LiveState, Message, Update, apply
from hearken.state import to_plain
from tests.consumers.fakes import fake_engine
from tests.hearken.test_resume import PERSONS, Reader
from tests.stream.fake_tagger import VOCABULARY
from tests.stream.helpers import drain
from tests.stream.streams import ALL, Step, messages

FOLDER = Path(__file__).parents[1] / "golden"
Json = dict[str, Any]
Numbered = tuple[Event, int | None]
"""An event, and its number if it is a message of the source."""


def say(segment: str, text: str, session: str = "call", **more: Any) -> Update:
    return Update(session=session, segment=segment, text=text, **more)


GROWING: list[Message] = [
    say("1", "we met", speaker="ann"),
    say("1", "we met may"),
    say("1", "we met may river in"),
    say("1", " rome", mode="append"),
    say("1", "We met May River in Rome.", final=True, channel="left"),
    say("2", "bob said"),
    say("3", "there may"),
    say("3", "there may said anna rice"),
    End(session="call"),
]
REWRITTEN: list[Message] = [
    say("1", "we met anna rice in paris"),
    say("1", "so we met anna rice in paris"),
    say("1", "so we met bob in paris"),
    say("1", ""),
    say("1", "anna in peru 🎙 rome"),
    say("1", "🎙🎙 anna in peru 🎙 rome"),
    say("1", "🎙🎙 anna in peru 🎙 rome and é rice", final=True),
    say("1", "anna in peru", final=True),
    Delete(session="call", segment="1"),
    say("1", "bob again"),
    say("2", "other", session="chat"),
    End(session="call"),
    say("1", "rome"),
    say("1", "rome anna", final=True),
]


def labelled(told: Sequence[Message], *taggers: str, behind: int = 0, redact: bool = False) -> Iterator[Numbered]:
    """Messages and their answers; answers come after so many more messages."""
    engine = fake_engine(taggers or ("ner",), coalesce=False, redaction=PERSONS if redact else None)
    late: list[list[Event]] = []
    for number, message in enumerate(told):
        yield message, number
        engine.submit(message, number)
        results = drain(engine)
        answers: list[Event] = [x for result in results for x in result.revisions]
        late.append([*answers, *(x.message for result in results for x in result.redacted)])
        if len(late) > behind:
            yield from ((x, None) for x in late.pop(0))
    for rest in late:
        yield from ((x, None) for x in rest)


def repeated(events: Sequence[Numbered]) -> Iterator[Numbered]:
    """Revisions as at least once gives them after a crash: the last three come again after each sixth."""
    told = [x for x in events if x[1] is None]
    for i, x in enumerate(told):
        yield x
        if i % 6 == 5:
            yield from told[i - 2 : i + 1]


def random_messages(seed: int, count: int = 30) -> list[Message]:
    chance = random.Random(seed)
    script: list[Step] = []
    for _ in range(count):
        words = tuple(chance.choice([*VOCABULARY, "🎙", "naïve"]) for _ in range(chance.randint(1, 4)))
        script.append((chance.randrange(2), chance.randrange(3), chance.choice(ALL), words, chance.randrange(7)))
    return messages(script)


STREAMS: dict[str, Callable[[], Sequence[Numbered]]] = {
    "growing": lambda: [*labelled(GROWING, "ner", "speech")],
    "rewritten": lambda: [*labelled(REWRITTEN)],
    "answered-late": lambda: [*labelled(REWRITTEN, "ner", "speech", behind=2)],
    "text-scores": lambda: [*labelled(GROWING, "scored")],
    "revisions-alone": lambda: [x for x in labelled(REWRITTEN, "ner", "speech") if x[1] is None],
    "at-least-once": lambda: [*repeated([*labelled([*GROWING, *REWRITTEN], "ner", "speech")])],
    "redacted": lambda: [*labelled(REWRITTEN, redact=True)],
    "random": lambda: [*labelled(random_messages(5), "ner", "speech", behind=1)],
}
BREAKS = {"breaks": (40, False), "breaks-deletes": (39, False), "breaks-redacted": (40, True)}
"""Streams over connections that break: seed, and whether the redacted stream is read."""


def record_reducer(events: Sequence[Numbered]) -> Json:
    """What the reducer makes of events: what can be read after each, and the state at the end."""
    state, steps = LiveState(), []
    for event, offset in events:
        before, state = state, apply(state, event, offset)
        session = state.session(event.session)
        seen = {"text": session.text, "settled": session.settled_text(), "redacted": session.redacted_text}
        step = {"event": plain(event), "offset": offset, "repeat": state is before, "seen": seen}
        steps.append({name: x for name, x in step.items() if x not in (None, False)})
    return {"steps": steps, "state": to_plain(state)}


def record_breaks(seed: int, redacted: bool) -> Json:
    """What a resumable stream sends and gives where connections break."""
    chance, recorder = random.Random(seed), Recorder(redacted)
    recorder.connect()
    for message in random_messages(seed):
        recorder.send(message)
        event = chance.choice(["", "read", "read", "some", "break", "connect"])
        if event in ("read", "some"):
            recorder.receive(1000 if event == "read" else 2)
        elif event == "break":
            recorder.connection = None
        elif event == "connect":
            recorder.connect()
    recorder.finish()
    return {"redacted": redacted, "steps": recorder.steps, "state": to_plain(recorder.stream.state)}


class Recorder(Reader):
    """Records what goes into a resumable stream, and what comes out."""

    def __init__(self, redacted: bool) -> None:
        super().__init__(redacted)
        self.steps: list[Json] = []
        stream, send, resume = self.stream, self.stream.send, self.stream.resume
        receive, finish = self.stream.receive, self.stream.finish
        stream.send = lambda x: self._note({"send": plain(x)}, send(x))  # type: ignore[method-assign]
        stream.resume = lambda: self._note({"resume": True}, resume())  # type: ignore[method-assign]
        stream.finish = lambda: self._note({"finish": True}, finish())  # type: ignore[method-assign]
        stream.receive = lambda x: self._note({"receive": plain(x)}, receive(x))  # type: ignore[method-assign]

    def _note(self, step: Json, result: Any) -> Any:
        kept = result if isinstance(result, list) else [] if result is None else [result]
        frames = [json.loads(x) if isinstance(x, bytes) else plain(x) for x in kept]
        made = [] if "receive" in step else self._answers_made()
        self.steps.append({**step, "gives": frames, **({"answers": made} if made else {})})
        return result

    def _answers_made(self) -> list[Any]:
        answers = self.stream.take_answers()
        self.answers += answers
        return [plain(x) for x in answers]


def plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


def build() -> dict[str, Json]:
    """Return the contents of each file."""
    found = {name: record_reducer(events()) for name, events in STREAMS.items()}
    return found | {name: record_breaks(*how) for name, how in BREAKS.items()}


def write(value: Json) -> str:
    """One step a line, so that a change can be read."""
    steps = ",\n".join(f"    {json.dumps(x, ensure_ascii=False)}" for x in value["steps"])
    rest = {name: x for name, x in value.items() if name != "steps"}
    return f'{{\n  "steps": [\n{steps}\n  ],\n  {json.dumps(rest, ensure_ascii=False)[1:]}\n'


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, value in build().items():
        (FOLDER / f"{name}.json").write_text(write(value), "utf-8")
