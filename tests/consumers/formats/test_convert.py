"""Values as serialisers of vendors and SDKs write them: null, numbers as strings, other spellings of fields."""

import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

import consumers.formats
from consumers.formats.base import FormatContext, read_value
from consumers.formats.convert import Seconds, convert
from consumers.formats.decode import BadInput
from consumers.formats.registry import FORMATS
from stream.messages.types import Delete, End, Update
from tests.consumers.formats.runs import FIXTURES, Run, fixture


def struct_types() -> list[Any]:
    """Every msgspec type of every format, and the messages of the normal form."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(consumers.formats.__path__, "consumers.formats."):
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing is not msgspec.Struct:
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return sorted(found.values(), key=lambda x: x.__qualname__)


TYPES = struct_types()
OPTIONAL = [(kind, field) for kind in TYPES for field in fields(kind) if not field.required]


def base_of(kind: Any) -> Any:
    """The type of a field without null; `Seconds` stays."""
    parts = [x for x in get_args(kind) if x is not NoneType]
    if get_origin(kind) is Annotated or get_origin(kind) in (list, tuple, dict):
        return kind
    return base_of(parts[0]) if len(parts) == 1 else kind


def example(kind: Any) -> Any:
    """A value of a required field."""
    return {str: "x", float: 1.5, int: 1, bool: True}.get(base_of(kind), "x")


def required(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    needed = {x.encode_name: example(hints[x.name]) for x in fields(kind) if x.required}
    tag = kind.__struct_config__.tag
    return needed | ({kind.__struct_config__.tag_field: tag} if tag else {})


def test_the_formats_have_types() -> None:
    assert len(TYPES) > 60
    assert {Update, Delete, End} <= set(TYPES)


@pytest.mark.parametrize(("kind", "field"), OPTIONAL, ids=lambda x: getattr(x, "__name__", getattr(x, "name", "")))
def test_null_in_an_optional_field_is_its_absence(kind: Any, field: Any) -> None:
    absent = convert(required(kind), kind)
    assert convert(required(kind) | {field.encode_name: None}, kind) == absent


@pytest.mark.parametrize("kind", TYPES, ids=lambda x: x.__name__)
def test_every_number_is_read_in_every_form(kind: Any) -> None:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        forms: dict[Any, tuple[Any, list[Any]]] = {
            int: (123, ["123", 123.0, "123.0", {"low": 123, "high": 0, "unsigned": False}, {"$numberLong": "123"}]),
            float: (2.5, ["2.5", "25e-1"]),
            Seconds: (2.5, ["2.5", "2.5s", {"seconds": "2", "nanos": 500_000_000}, {"seconds": 2, "nanos": 5e8}]),
            bool: (True, ["true", "True", 1, "1"]),
            str: ("123", [123, 123.0]),
        }
        if base_of(hints[field.name]) not in forms:
            continue
        plain, others = forms[base_of(hints[field.name])]
        wanted = getattr(convert(required(kind) | {field.encode_name: plain}, kind), field.name)
        for other in others:
            found = getattr(convert(required(kind) | {field.encode_name: other}, kind), field.name)
            assert found == wanted, (field.name, other)


@pytest.mark.parametrize("kind", TYPES, ids=lambda x: x.__name__)
def test_every_field_is_found_in_every_spelling(kind: Any) -> None:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        wanted = {str: "x", bool: True, int: 5, float: 5.0, Seconds: 5.0}.get(base_of(hints[field.name]))
        if wanted is None or field.required:
            continue
        head, *rest = field.name.split("_")
        tail = "".join(x.capitalize() for x in rest)
        for spelling in (field.name, head + tail, head.capitalize() + tail, field.encode_name):
            assert getattr(convert(required(kind) | {spelling: wanted}, kind), field.name) == wanted


@pytest.mark.parametrize(
    ("given_value", "kind"),
    [
        ("12x", int),
        (1.5, int),
        (True, int),
        ("1.5x", float),
        ("", float),
        (True, float),
        ("s", Seconds),
        ("yes", bool),
        (2, bool),
        (True, str),
        ([], str),
        ({}, list[int]),
        ("x", list[int]),
        (["x"], list[int]),
        ([], dict),
        (10**400, float),
    ],
)
def test_what_is_of_another_kind_is_refused_without_its_text(given_value: Any, kind: Any) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        convert(given_value, kind)
    assert "x" not in re.sub(r"expected|Expected", "", str(refused.value))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0.900s", 0.9),
        ("3s", 3.0),
        ("00:01:02.5000000", 62.5),
        ("1.00:00:01", 86401.0),
        ("0:00:01.510000", 1.51),
        ("PT1M2.5S", 62.5),
        ("PT3S", 3.0),
        ({"seconds": "2", "nanos": 130000000}, 2.13),
        ({"nanos": 5e8}, 0.5),
        ({"seconds": None, "nanos": None}, 0.0),
        ({"seconds": {"low": 2, "high": 0, "unsigned": False}, "nanos": 5e8}, 2.5),
    ],
)
def test_time_spans_are_read_in_every_form(written: Any, seconds: float) -> None:
    assert convert(written, Seconds) == pytest.approx(seconds)


class Holder(msgspec.Struct):
    time: float | None = None
    count: int = 7


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_long_is_its_halves(number: int) -> None:
    low = (number & 0xFFFFFFFF) - (1 << 32 if number & 0x80000000 else 0)
    assert convert({"count": {"low": low, "high": number >> 32}}, Holder) == Holder(count=number)


@pytest.mark.parametrize("number", [math.nan, math.inf, "NaN", "-Infinity"])
def test_a_number_that_is_none_is_absent(number: Any) -> None:
    assert convert({"time": number}, Holder) == Holder()


@given(count=st.integers(), time=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_value(count: int, time: float) -> None:
    plain = convert({"count": count, "time": time}, Holder)
    assert plain == Holder(time, count)
    assert convert({"count": str(count), "time": repr(time)}, Holder) == plain


JSON_FORMATS = [x for x in FORMATS if next(FIXTURES.glob(f"{x}.*")).suffix == ".jsonl"]


def rewritten(value: Any, change: Callable[[str, Any], Any]) -> Any:
    """A JSON value with each field changed: `change` returns the new value, or `...` to leave it out."""
    if isinstance(value, dict):
        made = {name: change(name, rewritten(x, change)) for name, x in value.items()}
        return {name: x for name, x in made.items() if x is not ...}
    return [rewritten(x, change) for x in value] if isinstance(value, list) else value


def outcome(name: str, value: Any) -> Any:
    context = FormatContext("s", 7, lambda _: {})
    try:
        reading = read_value(FORMATS[name], json.dumps(value).encode(), context)
    except BadInput as error:
        return error.reason
    return reading.messages or reading.ignored


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all fields of objects."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, key)
        yield from paths(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_null_anywhere_in_a_vendors_message_reads_as_its_absence(name: str) -> None:
    for line in fixture(name):
        for path in paths(json.loads(line)):
            null, absent = json.loads(line), json.loads(line)
            at(null, path[:-1])[path[-1]] = None
            del at(absent, path[:-1])[path[-1]]
            assert outcome(name, null) == outcome(name, absent), path


@pytest.mark.parametrize("name", [x for x in JSON_FORMATS if x not in ("normal", "watson")])
def test_numbers_as_strings_say_the_same(name: str) -> None:
    def as_string(_: str, x: Any) -> Any:
        return str(x) if type(x) in (int, float) else x

    values = [json.loads(line) for line in fixture(name)]
    session = None if FORMATS[name].chat else "call-1"
    plain = Run(name, session).tell([json.dumps(x).encode() for x in values])
    if name == "discord":  # operations of the gateway are told apart by their number
        values = [x | {"d": rewritten(x["d"], as_string)} if "op" in x else rewritten(x, as_string) for x in values]
    else:
        values = [rewritten(x, as_string) for x in values]
    other = Run(name, session).tell([json.dumps(x).encode() for x in values])
    assert not other.bad
    assert [x for messages in other.told for x in messages] == [x for messages in plain.told for x in messages]


def snake(name: str) -> str:
    return re.sub("(?<=[a-z])[A-Z]", lambda x: "_" + x[0], name).lower()


def camel(name: str) -> str:
    head, *rest = snake(name).split("_")
    return head + "".join(x.capitalize() for x in rest)


SPELLED = [x for x in JSON_FORMATS if x not in ("normal", "whisperlive")]


@pytest.mark.parametrize("spell", [snake, camel])
@pytest.mark.parametrize("name", SPELLED)
def test_other_spellings_say_the_same(name: str, spell: Callable[[str], str]) -> None:
    """SDKs write the vendor's fields in the style of their language."""

    def spelled(value: Any) -> Any:
        if isinstance(value, dict):
            return {x if x in ("NBest", "from", "to") else spell(x): spelled(inner) for x, inner in value.items()}
        return [spelled(x) for x in value] if isinstance(value, list) else value

    session = None if FORMATS[name].chat else "call-1"
    plain = Run(name, session).tell(fixture(name))
    other = Run(name, session).tell([json.dumps(spelled(json.loads(x))).encode() for x in fixture(name)])
    assert not other.bad
    assert [x for messages in other.told for x in messages] == [x for messages in plain.told for x in messages]
