"""JSON over several lines is one value; a line that was cut off hides none after it."""

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.line_reader import JsonReader, LineReader


def values(data: bytes, kind: type[LineReader] = JsonReader) -> list[tuple[int, bytes]]:
    reader, found = kind(BytesIO(data)), []
    while (line := reader.next_line(wait=True)) is not None:
        found.append((line.number, line.value))
    return found


LEAVES = st.none() | st.booleans() | st.integers() | st.text(alphabet='ab{}[]",:\\é', max_size=6)
OBJECTS = st.dictionaries(
    st.text(max_size=3),
    st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=2), x, max_size=3)),
    max_size=4,
)


@given(st.lists(st.tuples(OBJECTS, st.sampled_from([None, 0, 1, 4])), max_size=6))
def test_objects_in_one_line_or_in_several(told: list[tuple[Any, int | None]]) -> None:
    data = b"\n".join(json.dumps(x, indent=indent).encode() for x, indent in told)
    assert [json.loads(value) for _, value in values(data)] == [x for x, _ in told]


def test_a_value_has_the_number_of_its_first_line() -> None:
    data = b'{\n  "partial" : "a"\n}\n{"text": "b"}\n{\n  "text" :\n  [\n\n  1\n  ]\n}\n'
    assert [number for number, _ in values(data)] == [0, 3, 4]
    assert values(b'\xef\xbb\xbf{\r\n"a": 1\r\n}\r\n') == [(0, b'\xef\xbb\xbf{\n"a": 1\n}')]


@pytest.mark.parametrize(
    "cut",
    [
        b'{"text": "we m',
        b'{"text":',
        b"{",
        b"[",
        b'{"text": "a",',
        b'{"a": [',
        b'{"a": [1,',
        b"}",
        b'{"a": 1}]',
        b'{"a": {',
    ],
)
def test_a_line_that_was_cut_off_hides_none_after_it(cut: bytes) -> None:
    good = [b'{"n": %d}' % i for i in range(3)]
    assert values(b"\n".join([cut, *good])) == list(enumerate([cut, *good]))
    assert values(b"\n".join([*good, cut])) == list(enumerate([*good, cut]))


def test_a_list_of_messages_over_several_lines_is_one_value() -> None:
    assert [number for number, _ in values(b'[\n{"a": 1},\n{"a": 2}\n]\n{"a": 3}')] == [0, 4]


@given(st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"a": 1,', b'"a":', b"1", b'{"a": 1}', b"", b'"'])))
def test_no_line_is_lost(lines: list[bytes]) -> None:
    read = b"\n".join(value for _, value in values(b"\n".join(lines)))
    assert [x for x in read.split(b"\n") if x] == [x for x in lines if x]
