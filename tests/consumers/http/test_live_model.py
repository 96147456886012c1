"""What is kept for the live page, and what those who watch a session are sent."""

import json
from typing import Any

import pytest

import consumers.http.live.model
from consumers.http.live.model import MAX_SEGMENTS, MAX_SESSION_CHARACTERS, MAX_SESSIONS, LiveModel, LiveObserver
from consumers.http.live.rates import RateMeter
from consumers.http.live.subscriber import MAX_QUEUED_CHARACTERS, Subscriber
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.engine.worker import StepBatch
from stream.messages.types import Delete, End, Message, Revision, Span, Update
from stream.sessions.stats import EngineStats
from tests.stream.fake_tagger import fake_labeller


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def update(text: str, segment: str = "u", session: str = "a", **fields: Any) -> Update:
    return Update(session=session, segment=segment, text=text, **fields)


def revision(text: str, *found: tuple[str, str], session: str = "a", segment: str = "u", **fields: Any) -> Revision:
    spans = tuple(
        Span(id=i, start=text.index(x), end=text.index(x) + len(x), label=label, text=x, stability=0.5)
        for i, (x, label) in enumerate(found, 1)
    )
    given = {"tagger": "ner", "rev": 1, "offset": 0, "final": False} | fields
    return Revision(session=session, segment=segment, spans=spans, **given)


async def taken(watcher: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(x) for x in await watcher.next_frames(1.0)]


def texts(live: LiveModel, session: str = "a") -> list[tuple[str, str]]:
    return [(x["segment"], x["text"]) for x in live.snapshot(session)["segments"]]


async def test_text_scores_are_those_of_the_latest_revision() -> None:
    live = LiveModel(("ner",), thresholds={"ner": {"rude": 0.7}})
    live.show_message(update("we met bob"))
    live.show_revision(revision("we met bob", scores={"rude": 0.8}, crossed=("rude",)))
    watcher = live.subscribe()
    watcher.watch("a")
    (first,) = await taken(watcher)
    assert first["segments"][0]["scores"] == {"ner": {"rude": 0.8}}
    live.show_revision(revision("we met bob", scores={"rude": 0.2}, crossed=("rude",)))
    (second,) = await taken(watcher)
    assert (second["scores"], second["crossed"]) == ({"rude": 0.2}, ["rude"])
    live.show_revision(revision("we met bob"))
    assert "scores" not in live.snapshot("a")["segments"][0]
    assert live.thresholds == {"ner": {"rude": 0.7}}


async def test_who_comes_late_is_shown_all_and_then_what_happens() -> None:
    live = LiveModel(("ner",))
    live.show_message(update("we met bob", speaker="agent", channel="left"))
    live.show_revision(revision("we met bob", ("bob", "person")))
    watcher = live.subscribe()
    watcher.watch("a")
    (first,) = await taken(watcher)
    span = {"id": 1, "start": 7, "end": 10, "label": "person", "text": "bob", "stability": 0.5}
    segment = {"segment": "u", "text": "we met bob", "final": False, "speaker": "agent", "channel": "left"}
    assert first == {"type": "session", "session": "a", "segments": [segment | {"spans": {"ner": [span]}}]}
    live.show_message(update("elsewhere", session="b"))
    live.show_message(update("we met bob in rome", final=True))
    live.show_revision(revision("we met bob in rome", ("bob", "person"), ("rome", "place"), final=True, added=(2,)))
    text, revised = await taken(watcher)
    assert text == {
        "type": "text",
        "session": "a",
        "segment": "u",
        "text": "we met bob in rome",
        "final": True,
        "speaker": "agent",
        "channel": "left",
    }
    assert (revised["type"], revised["added"], revised["final"]) == ("revision", [2], True)
    assert await watcher.next_frames(0) == []


async def test_a_slow_watcher_is_shown_the_whole_as_it_stands_when_it_comes_back() -> None:
    live = LiveModel()
    watcher = live.subscribe()
    watcher.watch("a")
    await taken(watcher)
    size = MAX_SESSION_CHARACTERS // 2
    for i in range(2 * MAX_QUEUED_CHARACTERS // size + 2):
        live.show_message(update(f"{i} " + "x" * size))
        live.show_revision(revision("x", ("x", "person")))
    last = live.snapshot("a")["segments"][0]["text"]
    frames = await taken(watcher)
    assert [x["type"] for x in frames] == ["session"]
    assert frames[0]["segments"][0]["text"] == last
    live.show_message(update("short"))
    assert [x["type"] for x in await taken(watcher)] == ["text"]


async def test_nothing_is_encoded_for_nobody_and_nothing_comes_after_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveModel()
    watcher = live.subscribe()
    watcher.watch("a")
    await taken(watcher)
    watcher.watch(None)
    live.unsubscribe(watcher)
    monkeypatch.setattr(consumers.http.live.model, "encode_frame", None)
    live.show_message(update("we met bob"))
    live.show_revision(revision("we met bob", ("bob", "person")))
    assert await watcher.next_frames(0) == []


async def test_deletes_and_ends_are_told() -> None:
    live = LiveModel()
    live.show_message(update("one", "u1"))
    live.show_message(update("two", "u2"))
    watcher = live.subscribe()
    watcher.watch("a")
    await taken(watcher)
    live.show_message(Delete(session="a", segment="u1"))
    live.show_revision(revision("", segment="u1", final=True))
    live.show_message(End(session="a"))
    frames = await taken(watcher)
    assert [x["type"] for x in frames] == ["removed", "revision", "ended"]
    assert frames[0]["segment"] == "u1"
    assert texts(live) == [("u2", "two")]
    assert [x["open"] for x in live.sessions()] == [False]
    assert live.open_count == 0


async def test_a_session_that_ended_and_speaks_again_begins_anew() -> None:
    live = LiveModel()
    live.show_message(update("before"))
    live.show_message(End(session="a"))
    watcher = live.subscribe()
    watcher.watch("a")
    await taken(watcher)
    live.show_message(update("and ", mode="append"))
    live.show_message(update("again", mode="append"))
    assert [x["type"] for x in await taken(watcher)] == ["session"]
    assert texts(live) == [("u", "and again")]


def test_a_segment_is_final_when_every_tagger_has_said_so() -> None:
    live = LiveModel()
    live.show_message(update("bob"))
    live.show_revision(revision("bob", ("bob", "person"), final=False))
    live.show_revision(revision("bob", tagger="claims", final=False))
    live.show_message(update("bob", final=True))
    live.show_revision(revision("bob", ("bob", "person"), final=True))
    assert live.snapshot("a")["segments"][0]["final"] is False
    live.show_revision(revision("bob", tagger="claims", final=True))
    assert live.snapshot("a")["segments"][0]["final"] is True


def test_only_the_newest_is_kept() -> None:
    clock = Clock()
    live = LiveModel(clock=clock)
    for i in range(MAX_SEGMENTS + 5):
        live.show_message(update(f"word number {i}", f"u{i}"))
        live.show_revision(revision(f"word number {i}", ("word", "thing"), segment=f"u{i}"))
    assert len(texts(live)) == MAX_SEGMENTS
    assert texts(live)[0][0] == "u5"
    assert live.sessions() == [
        {"session": "a", "words": 3 * (MAX_SEGMENTS + 5), "spans": MAX_SEGMENTS + 5, "seen": 0.0, "open": True}
    ]
    live.show_message(update("x" * (MAX_SESSION_CHARACTERS - 10), "large"))
    assert [x for x, _ in texts(live)] == ["large"]
    live.show_message(update("y" * (MAX_SESSION_CHARACTERS - 10), "larger"))
    assert [x for x, _ in texts(live)] == ["larger"]
    for i in range(MAX_SESSIONS):
        clock.now += 1
        live.show_message(update("hello", session=f"s{i}"))
        live.show_message(update("still here", session="a"))
    names = [x["session"] for x in live.sessions()]
    assert len(names) == MAX_SESSIONS
    assert names[0] == f"s{MAX_SESSIONS - 1}"
    assert names[-1] == "a"  # the oldest, but not the most silent
    assert "s0" not in names
    assert live.snapshot("s0")["segments"] == []


async def test_a_session_that_somebody_else_has_now_is_forgotten() -> None:
    live = LiveModel()
    live.show_message(update("hello"))
    watcher = live.subscribe()
    watcher.watch("a")
    await taken(watcher)
    live.remove_session("a")
    live.remove_session("never there")
    assert await taken(watcher) == [{"type": "session", "session": "a", "segments": []}]
    assert live.sessions() == []


def test_revisions_of_what_is_not_kept_change_nothing() -> None:
    live = LiveModel(("ner",), {"ner": ("person",)})
    live.show_revision(revision("bob", ("bob", "animal")))
    assert live.sessions() == []
    live.show_message(update("other", "v"))
    live.show_revision(revision("bob", ("bob", "person")))
    assert texts(live) == [("v", "other")]
    assert list(live.labels["ner"]) == ["person", "animal"]


def test_deltas_are_added_to_the_text_as_the_engine_has_it() -> None:
    engine = Engine(fake_labeller("ner"), Last(3), coalesce=True)
    stream: list[Message] = [update("we met"), update(" bob", mode="append"), update(" and anna", mode="append")]
    engine.submit(stream[0], 0)
    live = LiveModel(received=engine.intake.segments)  # this process began after the first message
    for number, message in enumerate(stream[1:], 1):
        engine.submit(message, number)
        live.show_message(message)
        live.show_message(message)  # told twice: the text is what the engine has all the same
    assert texts(live) == [("u", "we met bob and anna")]
    alone = LiveModel()
    for message in stream[1:]:
        alone.show_message(message)
    assert texts(alone) == [("u", " bob and anna")]


@pytest.mark.parametrize("speaks_again", [False, True])
def test_a_session_that_was_idle_too_long_is_over_unless_it_speaks_again(speaks_again: bool) -> None:
    engine = Engine(fake_labeller("ner"), Last(3), coalesce=True, idle_seconds=5.0)
    live = LiveModel(received=engine.intake.segments)
    observer = LiveObserver(live)

    def say(text: str, offset: int, now: float) -> None:
        engine.submit(update(text), offset, now)
        observer.on_message(update(text))

    def drain() -> None:
        while engine.pending:
            observer.on_step(StepBatch(engine.step(), [], 0.0))

    say("we met bob", 0, 0.0)
    drain()
    assert live.sessions()[0]["spans"] == 1
    assert engine.expire(10.0) == 1
    if speaks_again:
        say("again", 1, 10.0)
    drain()
    assert [x["open"] for x in live.sessions()] == [speaks_again]


def test_repeats_are_not_told() -> None:
    live = LiveModel()
    watcher = live.subscribe()
    watcher.watch("a")
    live.show_message(update("bob", final=True))
    before = live.snapshot("a")
    live.show_message(update("bob"))  # closed already
    assert live.snapshot("a") == before


def test_figures_are_of_the_last_minute() -> None:
    clock, stats = Clock(), EngineStats(words=100, words_recomputed=300, flips_input=10, flips_model=10)
    figures = RateMeter(stats, clock)
    assert figures.read() == {
        "words_per_second": 0.0,
        "flips_per_word": 0.2,
        "words_recomputed_per_word": 3.0,
    }
    for _ in range(60):
        clock.now += 1
        stats.words += 10
        stats.words_recomputed += 15
        stats.flips_model += 1
        said = figures.read()
    assert said == {"words_per_second": 10.0, "flips_per_word": 0.1, "words_recomputed_per_word": 1.5}
    clock.now += 1000
    assert figures.read()["words_per_second"] == 0.0
    assert figures.read()["flips_per_word"] == round(80 / 700, 4)


def test_figures_of_nothing_are_none() -> None:
    assert RateMeter(EngineStats()).read() == {
        "words_per_second": 0.0,
        "flips_per_word": None,
        "words_recomputed_per_word": None,
    }
