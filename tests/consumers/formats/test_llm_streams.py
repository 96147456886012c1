"""Streams of language models: deltas in any cut, several answers at once, as JSON and as lines of an event stream."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.formats.base import FormatContext, read_value
from consumers.formats.decode import BadInput
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.readers import make_reader
from consumers.formats.registry import FORMATS
from tests.consumers.formats.runs import Run
from tests.stream.fake_tagger import VOCABULARY

TEXTS = st.lists(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=5).map(" ".join), min_size=1, max_size=3)


def cut(text: str, step: int) -> list[str]:
    return [text[i : i + step] for i in range(0, len(text), step)]


def chunk(*choices: Any, id: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": id, "object": "chat.completion.chunk", "choices": list(choices)} | fields


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def _chat(texts: Sequence[str], step: int, interleaved: bool) -> list[Any]:
    answers = [
        [delta(i, role="assistant", content=""), *(delta(i, content=x) for x in cut(text, step)), delta(i, "stop")]
        for i, text in enumerate(texts)
    ]
    rows = zip_longest(*answers) if interleaved else answers
    return [chunk(x) for row in rows for x in row if x is not None]


def response(kind: str, of: str = "m", **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "item_id": of, "content_index": 0, "sequence_number": 1} | fields


def message(item: str, text: str) -> dict[str, Any]:
    return {"type": "message", "id": item, "content": [{"type": "output_text", "text": text}]}


def _responses(texts: Sequence[str], step: int, interleaved: bool) -> list[Any]:
    answers = []
    for i, text in enumerate(texts):
        item = f"msg_{i}"
        deltas = [response("output_text.delta", item, delta=x) for x in cut(text, step)]
        answers.append([*deltas, response("output_text.done", item, text=text)])
        answers[-1].append(response("output_item.done", item, item=message(item, text)))
    rows = zip_longest(*answers) if interleaved else answers
    output = [message(f"msg_{i}", text) for i, text in enumerate(texts)]
    return [*(x for row in rows for x in row if x), response("completed", response={"output": output})]


def block(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"content_block_{kind}", "index": index} | fields


def text_delta(text: str, index: int = 0) -> dict[str, Any]:
    return block("delta", index, delta={"type": "text_delta", "text": text})


START = {"type": "message_start", "message": {"id": "m"}}


def _anthropic(texts: Sequence[str], step: int, interleaved: bool) -> list[Any]:
    values: list[Any] = []
    for i, text in enumerate(texts):  # blocks of one message, or messages of one block
        index = i if interleaved else 0
        values += [] if interleaved and values else [START]
        values += [block("start", index, content_block={"type": "text", "text": ""})]
        values += [*(text_delta(x, index) for x in cut(text, step)), block("stop", index)]
    return [*values, {"type": "message_stop"}]


ENCODERS: dict[str, Callable[[Sequence[str], int, bool], list[Any]]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
}


def as_lines(values: Sequence[Any]) -> Iterator[bytes]:
    """An event stream, a line a value; empty lines are left out by every reader."""
    for value in values:
        yield b": ping"
        yield f"event: {value.get('type', 'message')}".encode()
        yield b"data: " + json.dumps(value).encode()


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=40)
@given(
    texts=TEXTS,
    step=st.integers(1, 6),
    interleaved=st.booleans(),
    lines=st.booleans(),
    deaths=st.lists(st.integers(0, 60), max_size=2),
    coalesce=st.booleans(),
    group=st.integers(1, 4),
)
def test_deltas_are_the_texts(
    name: str,
    texts: list[str],
    step: int,
    interleaved: bool,
    lines: bool,
    deaths: list[int],
    coalesce: bool,
    group: int,
) -> None:
    values = ENCODERS[name](texts, step, interleaved)
    told = list(as_lines(values)) if lines else [json.dumps(x).encode() for x in values]
    run = Run(name, coalesce=coalesce, group=group).tell(told)
    assert not run.bad
    assert sorted(run.finals()) == sorted(texts)
    assert not run.open()
    whole = run.texts()
    for kept in deaths:
        run.die(kept % (len(run.log) + 1))
        run.tell(told)
        assert run.texts() == whole


def tell(name: str, *values: Any) -> tuple[dict[str, str], dict[str, int]]:
    """What stands, and how many values gave nothing, by reason."""
    run, ignored = Run(name), IgnoredRecords(warn=False)
    reader = make_reader(name, run.engine.intake.segments, "call-1", ignored)
    for offset, value in enumerate(values):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        for x in reader.read(data, None, offset):
            run.engine.submit(x, offset)
    return run.texts(), {reason: n for (_, reason), n in ignored.counts.items()}


def test_text_behind_the_end_of_a_choice_is_an_edit_and_a_second_end_nothing() -> None:
    values = [
        chunk(delta(content="We met", finish="stop")),
        chunk(delta(finish="stop")),
        chunk(delta(content=" Ines.")),
    ]
    assert tell("openai-chat", *values) == ({"c/choice-0": "We met Ines."}, {"repeat": 1})


def test_what_is_not_the_answer_is_counted() -> None:
    values = [
        chunk(delta(content="We met", tool_calls=[])),
        chunk(delta(content=None, tool_calls=[{"index": 0, "function": {"arguments": "Greta"}}])),
        chunk(delta(reasoning_content="Omar")),
        chunk(delta(reasoning="Omar", content=" Ines")),
        chunk(usage={"total_tokens": 1}),
        chunk(delta(role="assistant")),
        {"id": "c", "choices": None},
    ]
    reasons = {"other_event": 2, "metadata": 1, "no_text": 1, "unknown_shape": 1}
    assert tell("openai-chat", *values) == ({"c/choice-0": "We met Ines ..."}, reasons)


def test_chunks_of_compatible_servers() -> None:
    whole = "We met Greta in Oslo"
    cumulative = [chunk(delta(content=whole[:n])) for n in (4, 18, 20, 20)]
    assert tell("openai-chat", chunk(delta(content=whole[:17])), *cumulative[2:])[0] == {"c/choice-0": f"{whole} ..."}
    beside = delta(content=" Ines") | {"message": {"role": "assistant", "content": "We met Ines"}}
    assert tell("openai-chat", chunk(delta(content="We met")), chunk(beside))[0] == {"c/choice-0": "We met Ines ..."}
    answer = {"index": 0, "message": {"content": "We met Ines."}, "finish_reason": "stop"}
    assert tell("openai-chat", chunk(answer, object="chat.completion"))[0] == {"c/choice-0": "We met Ines."}
    legacy = [{"id": "l", "object": "text_completion", "choices": [{"index": 0, "text": x}]} for x in ("We", " met")]
    assert tell("openai-chat", *legacy)[0] == {"l/choice-0": "We met ..."}
    parts = chunk(
        delta(content=[{"type": "text", "text": "We"}, {"type": "image_url"}, {"type": "text", "text": " met"}])
    )
    assert tell("openai-chat", parts)[0] == {"c/choice-0": "We met ..."}
    nameless = [{"choices": [delta(content=x)]} for x in ("We", " met")]
    assert tell("openai-chat", *nameless, {"choices": [delta(finish="stop")]}, nameless[0])[0] == {
        "choice-0:0": "We met",
        "choice-0:3": "We ...",
    }


def test_an_error_closes_the_only_completion_that_is_open() -> None:
    error = {"error": {"message": "The server had an error", "type": "server_error"}}
    one, other = chunk(delta(content="We met")), chunk(delta(content="Call"), id="d")
    assert tell("openai-chat", one, error) == ({"c/choice-0": "We met"}, {"error": 1})
    assert tell("openai-chat", one, b"data: [DONE]") == ({"c/choice-0": "We met"}, {})
    ends = chunk(delta(content="", finish="error"), **error)
    assert tell("openai-chat", other, one, ends)[0] == {"d/choice-0": "Call ...", "c/choice-0": "We met"}
    both = {"c/choice-0": "We met ...", "d/choice-0": "Call ..."}
    assert tell("openai-chat", one, other, error, b"data: [DONE]") == (both, {"error": 1, "metadata": 1})


def test_a_refusal_is_a_segment() -> None:
    values = [chunk(delta(refusal="I can")), chunk(delta(refusal="not say", finish="stop"))]
    assert tell("openai-chat", *values)[0] == {"c/choice-0/refusal": "I cannot say"}
    values = [response("refusal.delta", delta="I can"), response("refusal.done", refusal="I cannot say")]
    assert tell("openai-responses", *values)[0] == {"m": "I cannot say"}


@pytest.mark.parametrize("end", ["incomplete", "failed", "completed"])
def test_the_end_of_a_response_closes_what_is_open(end: str) -> None:
    values = [
        response("output_text.delta", "m1", delta="We met"),
        response("output_text.delta", "m2", delta="Call"),
        response(end, response={"output": [message("m1", "We met Ines.")]}),
        response("output_text.delta", "m2", delta=" Omar"),
    ]
    reasons = {"late": 1} | ({} if end == "completed" else {"error": 1})
    assert tell("openai-responses", *values) == ({"m1": "We met Ines.", "m2": "Call"}, reasons)


def test_events_of_responses_that_are_not_the_answer_are_counted() -> None:
    reasoning = {"type": "reasoning", "id": "r", "content": "Omar"}
    values = [
        response("reasoning_text.delta", delta="Omar"),
        response("reasoning_summary_text.done", text="Omar"),
        response("function_call_arguments.delta", delta="Omar"),
        response("code_interpreter_call_code.delta", delta="Omar"),
        response("output_item.done", item=reasoning),
        response("content_part.done", part={"type": "reasoning_text", "text": "Omar"}),
        response("surprise"),
        response("in_progress", response={}),
        response("output_text.done", text=""),
        {"type": "error", "code": "x", "message": "y", "sequence_number": 2},
    ]
    assert tell("openai-responses", *values) == ({}, {"other_event": 7, "metadata": 1, "no_text": 1, "error": 1})


def test_spoken_answers_are_read_from_their_transcript() -> None:
    values = [
        {"type": "response.output_audio_transcript.delta", "event_id": "e", "item_id": "i", "delta": "We m"},
        {
            "type": "response.output_audio_transcript.done",
            "event_id": "e",
            "item_id": "i",
            "transcript": "We met Ines.",
        },
    ]
    assert tell("openai-responses", *values) == ({"i": "We met Ines."}, {})


def test_nothing_closes_a_block_behind_an_error_but_the_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    values = [START, text_delta("We met"), error, text_delta(" Ines"), START, text_delta("Call")]
    stands = {"block-0:1": "We met", "block-0:3": " Ines", "block-0:5": "Call ..."}
    assert tell("anthropic", *values) == (stands, {"metadata": 1, "error": 1})


def test_a_block_that_starts_again_is_another_one() -> None:
    start = block("start", content_block={"type": "text", "text": "So"})
    assert tell("anthropic", start, text_delta(" far"), start)[0] == {"block-0:0": "So far", "block-0:2": "So ..."}


def test_blocks_that_are_not_the_answer_are_counted() -> None:
    kinds = {"thinking_delta": "thinking", "signature_delta": "signature", "input_json_delta": "partial_json"}
    values = [block("delta", delta={"type": kind, field: "Greta"}) for kind, field in kinds.items()]
    values += [block("start", content_block={"type": "tool_use", "id": "t"}), block("delta"), {"type": "surprise"}]
    assert tell("anthropic", *values) == ({}, {"other_event": 5, "unknown_shape": 1})


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b": keep-alive", "keep_alive"),
        (b":", "keep_alive"),
        (b"event: ping", "metadata"),
        (b"id: 7\nretry: 100", "metadata"),
    ],
)
def test_lines_without_data_are_ignored_by_name(name: str, value: bytes, reason: str) -> None:
    reading = read_value(FORMATS[name], value, FormatContext("s", 7, lambda _: {}))
    assert (reading.messages, reading.ignored) == ([], reason)


def test_a_whole_event_is_one_value_and_several_are_refused() -> None:
    data = json.dumps(text_delta("We met"), indent=1).replace("\n", "\ndata: ")
    event = f"event: content_block_delta\r\ndata: {data}\n\n".encode()
    assert tell("anthropic", event)[0] == {"block-0:0": "We met ..."}
    with pytest.raises(BadInput, match="several events in one value; send them one by one"):
        tell("anthropic", b"data: {}\n\ndata: {}")


@pytest.mark.parametrize("name", ENCODERS)
def test_auto_knows_an_event_stream(name: str) -> None:
    values = ENCODERS[name](["We met Ines"], 3, False)
    ignored = IgnoredRecords(warn=False)
    reader = make_reader("auto", lambda _: {}, "call-1", ignored)
    messages = [x for offset, value in enumerate(as_lines(values)) for x in reader.read(value, None, offset)]
    assert messages
    assert ignored.counts["auto", "metadata"] == 2
