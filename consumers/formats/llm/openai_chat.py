"""OpenAI chat completion chunks, and those of compatible servers: a delta appends to its choice.

A segment is a choice of a completion (`chatcmpl-1/choice-0`; without an `id`, named by the chunk that opened it);
`finish_reason` closes it, and so does an error or `[DONE]` if only one completion is open. Text behind that is still
text: it is added, as an edit. A refusal is a segment of its own. Tool calls and reasoning are not the answer.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, check_results, close_open
from consumers.formats.convert import convert
from consumers.formats.llm.event_stream import event_stream_line, unwrap_event
from stream.messages.types import Message, Update

_REPEATED = 16
"""Characters of a text from which on a delta that begins with all of it is the text so far, as some servers send it."""


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: str = ""
    tool_calls: Any = None
    function_call: Any = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    """The whole text: of an answer that is not streamed, or beside the delta."""
    text: str = ""
    """The delta of legacy completions."""
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str = ""
    choices: list[_Choice] | None = None
    error: Any = None


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    line = event_stream_line(value, lambda: _close_only(context))
    if line is not None:
        return line
    chunk = convert(value, _Chunk)
    if chunk.error is not None:  # some servers name the choice that it ends
        ended = list(_read_choices(chunk, context)) if chunk.choices else _close_only(context)
        return [*ended, Ignored("error")]
    if chunk.choices is None:
        return [Ignored("unknown_shape")]
    if not chunk.choices:  # counts of tokens, results of a filter
        return [Ignored("metadata")]
    return _read_choices(chunk, context)


def _read_choices(chunk: _Chunk, context: FormatContext) -> list[Message | Ignored]:
    assert chunk.choices
    check_results(chunk.choices)
    # an error and the end of a stream do not name their answer, so a session that is not that of one answer is better
    session = context.session_name(None if context.default else chunk.id or None)
    added: dict[str, tuple[str, bool, bool]] = {}
    ignored: list[Ignored] = []
    for choice in chunk.choices:
        part = choice.delta or choice.message or _Delta()
        scope, is_whole = f"choice-{choice.index}", choice.delta is None and choice.message is not None
        texts = {scope: _content(part) or choice.text, f"{scope}/refusal": part.refusal}
        for name, text in texts.items():
            before, _, final = added.get(name, ("", False, False))
            added[name] = before + text, is_whole, final or bool(choice.finish_reason)
        if not any(texts.values()):
            ignored.append(_why_nothing(choice, part))
    found = [x for scope, what in added.items() for x in _write(context, session, chunk.id, scope, *what)]
    return [*found, *ignored]


def _write(
    context: FormatContext, session: str, id: str, scope: str, added: str, is_whole: bool, final: bool
) -> Iterator[Message | Ignored]:
    name = f"{id}/{scope}" if id else context.open_segment(session, scope)
    existing = context.segments(session).get(name)
    if not added and (not final or existing is None or existing.closed):
        if final and existing is not None:
            yield Ignored("repeat")
        return
    before = existing.text if existing else ""
    is_whole = is_whole or (len(before) >= _REPEATED and len(added) >= len(before) and added.startswith(before))
    mode: Literal["replace", "append"] = "replace" if is_whole and added else "append"
    yield Update(session=session, segment=name, text=added, mode=mode, final=final)


def _why_nothing(choice: _Choice, part: _Delta) -> Ignored:
    other = part.tool_calls or part.function_call or part.reasoning or part.reasoning_content
    return Ignored("other_event" if other else "metadata" if choice.finish_reason else "no_text")


def _content(part: _Delta) -> str:
    """Return the text of a delta, which some servers send as a list of parts."""
    if isinstance(part.content, list):
        texts = (x.get("text") for x in part.content if isinstance(x, dict))
        return "".join(x for x in texts if isinstance(x, str))
    return "" if part.content is None else str(convert(part.content, str))


def _close_only(context: FormatContext) -> list[Message | Ignored]:
    """Close the choices of the completion that is open; an error and the end of a stream do not name theirs."""
    if not (context.session or context.default):
        return []
    closings = close_open(context, context.session_name())
    completions = {x.segment.rpartition("/choice-")[0] for x in closings if isinstance(x, Update)}
    return closings if len(completions) == 1 else []


_OBJECTS = ("chat.completion.chunk", "chat.completion", "text_completion")


def _recognises(value: dict[str, Any]) -> bool:
    choices = value.get("choices")
    if not isinstance(choices, list):
        return False
    if value.get("object") in _OBJECTS or "prompt_filter_results" in value:
        return True
    return bool(choices) and all(isinstance(x, dict) and isinstance(x.get("delta"), dict) for x in choices)


FORMAT = Format("openai-chat", _read, _recognises, dict, prepare=unwrap_event)
