"""Whatever recognisers send in between, and in whatever order, the end is the text of the finals; after crashes too."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.consumers.formats.runs import Run
from tests.consumers.formats.vendors import ENCODERS, UNNAMED, Result, disturbed, encode, transcripts
from tests.stream.fake_tagger import VOCABULARY

PLACES = st.lists(st.integers(0, 40), max_size=5)
NAMED = [name for name in ENCODERS if name not in UNNAMED]
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4).map(" ".join)


def truth(results: Sequence[Result]) -> list[str]:
    return sorted(x.text for x in results if x.final)


def heard(run: Run) -> list[str]:
    return sorted(text.strip() for text in run.finals())


@pytest.mark.parametrize("name", NAMED)
@given(results=transcripts(channels=2), swaps=PLACES, again=PLACES, coalesce=st.booleans(), group=st.integers(1, 4))
def test_any_interleaving_ends_in_the_finals(
    name: str, results: list[Result], swaps: list[int], again: list[int], coalesce: bool, group: int
) -> None:
    values = encode(name, disturbed(results, swaps, again))
    run = Run(name, coalesce=coalesce, group=group).tell(values)
    assert heard(run) == truth(results)
    assert not run.open()


@pytest.mark.parametrize("name", UNNAMED)
@given(results=transcripts(), again=PLACES, late=PLACES, coalesce=st.booleans(), group=st.integers(1, 4))
def test_repeats_and_late_interims_of_unnamed_utterances_end_in_the_finals(
    name: str, results: list[Result], again: list[int], late: list[int], coalesce: bool, group: int
) -> None:
    told = disturbed(results, [], again)
    for position in sorted((x % len(told) for x in late), reverse=True):
        if told[position].final:  # an interim result of the same utterance comes behind it
            told.insert(position + 1, told[position].__class__(**vars(told[position]) | {"final": False}))
    run = Run(name, coalesce=coalesce, group=group).tell(encode(name, told))
    assert heard(run) == truth(results)
    assert not run.open()


@pytest.mark.parametrize("name", ENCODERS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    results=transcripts(channels=2),
    swaps=PLACES,
    deaths=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)), min_size=1, max_size=3),
    coalesce=st.booleans(),
    group=st.integers(1, 4),
)
def test_reading_again_after_a_crash_gives_the_same(
    name: str, results: list[Result], swaps: list[int], deaths: list[tuple[int, int]], coalesce: bool, group: int
) -> None:
    """At least once: entries are kept up to somewhere, and reading goes on from anywhere before that."""
    values = encode(name, disturbed(results, [] if name in UNNAMED else swaps, []))
    whole = Run(name, coalesce=coalesce, group=group).tell(values)
    cut = Run(name, coalesce=coalesce, group=group)
    marks = [(0, 0)]  # where a group begins, and how many entries there are then
    begin = 0
    while begin < len(values):
        cut.tell(values[begin : begin + group], begin)
        begin += group
        marks.append((begin, len(cut.log)))
        if deaths:
            kept, back = deaths.pop()
            kept %= len(cut.log) + 1
            safe = [mark for mark in marks if mark[1] <= kept]
            begin = safe[max(0, len(safe) - 1 - back)][0]
            cut.die(kept)
            marks = [(at, entries) for at, entries in marks if at <= begin] or [(0, 0)]
    assert cut.texts() == whole.texts()


@given(
    told=st.lists(st.tuples(WORDS, st.integers(1, 3), st.booleans()), min_size=1, max_size=5),
    late=st.booleans(),
    coalesce=st.booleans(),
)
def test_deltas_are_replaced_by_what_is_completed(
    told: list[tuple[str, int, bool]], late: bool, coalesce: bool
) -> None:
    values = []
    ours = "conversation.item.input_audio_transcription."
    for number, (text, step, completes) in enumerate(told):
        item = {"item_id": f"item_{number}", "content_index": 0}
        deltas = [item | {"type": f"{ours}delta", "delta": text[i : i + step]} for i in range(0, len(text), step)]
        done = [item | {"type": f"{ours}completed", "transcript": text.upper()}] if completes else []
        values += [*deltas, *done, *(deltas[-1:] if late and completes else [])]
    run = Run("openai-realtime", coalesce=coalesce).tell([json.dumps(x).encode() for x in values])
    assert run.finals() == [text.upper() for text, _, completes in told if completes]
    assert run.open() == [text for text, _, completes in told if not completes]


@given(lines=st.lists(WORDS, min_size=1, max_size=12), again=PLACES, deaths=st.lists(st.integers(0, 30), max_size=2))
def test_lines_of_whisper_streaming_are_said_once(lines: list[str], again: list[int], deaths: list[int]) -> None:
    told = [f"{1000 * i} {1000 * i + 900} {text}".encode() for i, text in enumerate(lines)]
    for position in sorted((x % len(told) for x in again), reverse=True):
        told.insert(position, told[position])
    run = Run("whisper-streaming").tell(told)
    for kept in deaths:
        run.die(kept % (len(run.log) + 1))
        run.tell(told)
    assert " ".join(x.text for x in run.segments().values()).split() == " ".join(lines).split()
    assert all(x.closed == x.text.endswith(".") for x in run.segments().values())


def renewed(before: list[Any], window: Any) -> bool:
    """Whether the last segment says other words than a completed one at its time: only a new stream sends such."""
    last = window["segments"][-1]
    done = [x["text"].split() for w in before for x in w["segments"] if x["completed"]]
    times = [float(x["start"]) for w in before for x in w["segments"] if x["completed"]]
    near = [text for text, at in zip(done, times, strict=True) if abs(at - float(last["start"])) < 1]
    return not last["completed"] and any(not set(last["text"].split()) <= set(text) for text in near)


@given(results=transcripts(), width=st.integers(1, 4), swaps=PLACES, deaths=st.lists(st.integers(0, 60), max_size=2))
def test_a_rolling_window_is_merged(results: list[Result], width: int, swaps: list[int], deaths: list[int]) -> None:
    values = []
    done: dict[int, Result] = {}
    for x in results:
        if x.final:
            done[x.number] = x
        window = [*list(done.values())[-width:], *([] if x.final else [x])]
        values.append(
            {
                "uid": "beefcafe",
                "segments": [
                    {"start": f"{y.start:.3f}", "end": f"{y.end:.3f}", "text": y.text, "completed": y.final}
                    for y in window
                ],
            }
        )
    last = values.pop()
    for position in swaps:
        at = position % (len(values) or 1)
        values[at : at + 2] = reversed(values[at : at + 2])
    told = [json.dumps(x).encode() for x in [*(x for at, x in enumerate(values) if not renewed(values[:at], x)), last]]
    run = Run("whisperlive").tell(told)
    for kept in deaths:
        run.die(kept % (len(run.log) + 1))
        run.tell(told)
    assert heard(run) == truth(results)
    assert not run.open()


@given(lines=st.lists(WORDS, min_size=1, max_size=12), rows=st.integers(1, 4), hold=st.booleans())
def test_rolled_up_lines_are_said_once(lines: list[str], rows: int, hold: bool) -> None:
    lines = [f"{i} {line}" for i, line in enumerate(lines)]
    cues = []
    for i in range(len(lines)):
        shown = "\n".join(lines[max(0, i + 1 - rows) : i + 1])
        cues.append(f"00:{i:02}:00.000 --> 00:{i:02}:30.000\n{shown}")
        if hold:
            cues.append(f"00:{i:02}:30.000 --> 00:{i:02}:40.000\n{shown}")
    run = Run("captions").tell([x.encode() for x in cues])
    assert run.finals() == lines
    assert Run("captions").tell(["\n\n".join(["WEBVTT", *cues]).encode()]).finals() == lines
