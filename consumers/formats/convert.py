"""Conversion of decoded JSON to a format's msgspec types, tolerant of what serialisers of vendors and SDKs write.

- `null` is an absent field. So is a number that is not finite.
- Field names may be spelled as the type declares them, in snake_case, camelCase or PascalCase.
- Numbers may be strings (protobuf writes 64-bit integers so), and integers floats. Names and texts may be numbers.
  64-bit integers may be objects (`low` and `high` of JavaScript's Long, `$numberLong` of MongoDB).
- A time span (`Seconds`) may be a number, a string ("1.5s", "00:00:01.5", "PT1.5S"), or an object of seconds and nanos.

Everything else is refused with the path of the field; errors contain none of the text.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import fields

_SECONDS = object()
Seconds = Annotated[float, _SECONDS]
"""Seconds, from any form in which SDKs write a time span."""

_Converter = Callable[[Any, str], Any]
_ABSENT = object()
"""Result of a conversion: the value says nothing, as if its field were absent."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}(\.0+)?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_CLOCK = re.compile(r"(?:(\d+)\.)?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)")
_ISO_SPAN = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([0-9.]+)S)?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def convert(value: Any, type: Any) -> Any:
    """Convert a decoded JSON value to a type: a msgspec struct, or anything that its fields may have.

    Raises:
        msgspec.ValidationError: the value is not of the type; the error names the place and contains none of its text.
    """
    result = _converter(type)(value, "$")
    if result is _ABSENT:
        raise _error(type, value, "$")
    return result


@cache
def _converter(type: Any) -> _Converter:
    if type in _SCALARS:
        return _SCALARS[type]
    origin, parts = get_origin(type), get_args(type)
    if origin is Annotated:
        return _to_seconds if _SECONDS in parts else _converter(parts[0])
    if origin in (Union, UnionType):
        return _union(tuple(x for x in parts if x is not NoneType))
    if origin is list:
        return _list_of(parts[0])
    if origin is tuple:
        return _tuple_of(parts)
    if origin is dict:
        return _to_object
    if origin is Literal:
        return _one_of(parts)
    return _struct_of(type)


def _union(kinds: tuple[Any, ...]) -> _Converter:
    tagged = {x.__struct_config__.tag: x for x in kinds if getattr(getattr(x, "__struct_config__", None), "tag", None)}
    if len(tagged) > 1:
        return _tagged_union(tagged)
    if len(kinds) == 1:
        return _converter(kinds[0])
    exact = {kind: _converter(kind) for kind in kinds}

    def to_one(value: Any, path: str) -> Any:
        error: msgspec.ValidationError | None = None
        direct = exact.get(type(value))
        for one in (direct,) if direct else exact.values():
            try:
                return one(value, path)
            except msgspec.ValidationError as refused:
                error = error or refused
        raise error or _error("value", value, path)

    return to_one


def _tagged_union(kinds: dict[str, Any]) -> _Converter:
    name = next(iter(kinds.values())).__struct_config__.tag_field

    def to_one(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _error("object", value, path)
        if name not in value:
            raise msgspec.ValidationError(f"Object missing required field `{name}`")
        tag = value[name]
        if not isinstance(tag, str) or tag not in kinds:
            raise msgspec.ValidationError(f"Invalid value - at `{path}.{name}`; expected {' or '.join(sorted(kinds))}")
        return _converter(kinds[tag])(value, path)

    return to_one


def _struct_of(struct: Any) -> _Converter:
    hints = get_type_hints(struct, include_extras=True)
    plan = [
        (x.name, _spellings(x.name, x.encode_name), hints[x.name], f".{x.encode_name}", x.required, x.encode_name)
        for x in fields(struct)
    ]

    def to_struct(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _error("object", value, path)
        found = {}
        for name, spellings, kind, step, required, encoded in plan:
            for spelling in spellings:
                given = value.get(spelling)
                if given is not None:
                    given = _converter(kind)(given, path + step)
                    break
            else:
                given = _ABSENT
            if given is not _ABSENT:
                found[name] = given
            elif required:
                raise msgspec.ValidationError(f"Object missing required field `{encoded}` - at `{path}`")
        return struct(**found)

    return to_struct


def _spellings(name: str, encoded: str) -> tuple[str, ...]:
    """Spellings of a field, that of the type first."""
    head, *rest = name.split("_")
    tail = "".join(x.capitalize() for x in rest)
    return tuple(dict.fromkeys((encoded, name, head + tail, head.capitalize() + tail)))


def _list_of(kind: Any) -> _Converter:
    item = _converter(kind)

    def to_list(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise _error("array", value, path)
        inner = f"{path}[...]"
        return [x for one in value if one is not None and (x := item(one, inner)) is not _ABSENT]

    return to_list


def _tuple_of(kinds: tuple[Any, ...]) -> _Converter:
    if kinds[-1] is Ellipsis:
        to_list = _list_of(kinds[0])
        return lambda value, path: tuple(to_list(value, path))
    items = [_converter(x) for x in kinds]

    def to_tuple(value: Any, path: str) -> Any:
        if type(value) is not list or len(value) < len(items):
            raise _error("array", value, path)
        found = tuple(item(one, f"{path}[...]") for item, one in zip(items, value, strict=False))
        return _ABSENT if _ABSENT in found else found

    return to_tuple


def _one_of(choices: tuple[Any, ...]) -> _Converter:
    def to_choice(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in choices:
            raise msgspec.ValidationError(f"Invalid value - at `{path}`; expected {' or '.join(choices)}")
        return value

    return to_choice


def _to_string(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() else repr(value)
    raise _error("str", value, path)


def _unbox(value: dict[str, Any]) -> Any:
    """Return the number of an object that stands for one; the object itself if it does not."""
    if type(value.get("low")) is int and type(value.get("high")) is int:
        return (value["high"] << 32) + (value["low"] & 0xFFFFFFFF)
    return next((value[x] for x in ("$numberLong", "$numberInt", "$numberDouble") if x in value), value)


def _to_integer(value: Any, path: str) -> int:
    if type(value) is int:
        return value
    if type(value) is dict:
        value = _unbox(value)
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    raise _error("int", value, path)


def _to_float(value: Any, path: str) -> Any:
    if type(value) is dict:
        value = _unbox(value)
    if isinstance(value, str) and value.strip() in ("NaN", "Infinity", "-Infinity"):  # as protobuf writes them
        return _ABSENT
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if type(value) not in (float, int):
        raise _error("float", value, path)
    try:
        number = float(value)
    except OverflowError:
        raise _error("float", value, path) from None
    return number if math.isfinite(number) else _ABSENT


def _to_boolean(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if type(value) in (int, float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise _error("bool", value, path)


def _to_seconds(value: Any, path: str) -> Any:
    if type(value) is dict and (value := _unbox(value)) and type(value) is dict:
        parts = [value.get(name) or value.get(name.capitalize()) or 0 for name in ("seconds", "nanos")]
        whole, billionths = (_to_float(x, path) for x in parts)
        return _ABSENT if _ABSENT in (whole, billionths) else whole + billionths / 1e9
    if isinstance(value, str):
        text = value.strip()
        if clock := _CLOCK.fullmatch(text):
            days, hours, minutes, seconds = (float(x or 0) for x in clock.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if span := _ISO_SPAN.fullmatch(text):
            days, hours, minutes = (float(x or 0) for x in span.groups()[:3])
            return ((days * 24 + hours) * 60 + minutes) * 60 + _to_float(span[4] or 0, path)
        return _to_float(text.removesuffix("s") if text != "s" else text, path)
    return _to_float(value, path)


def _to_object(value: Any, path: str) -> Any:
    if type(value) is not dict:
        raise _error("object", value, path)
    return value


_SCALARS: dict[Any, _Converter] = {
    str: _to_string,
    int: _to_integer,
    float: _to_float,
    bool: _to_boolean,
    dict: _to_object,
    Any: lambda value, path: value,
}
_JSON_NAMES = {dict: "object", list: "array", str: "str", bool: "bool", int: "int", float: "float"}


def _error(wanted: Any, value: Any, path: str) -> msgspec.ValidationError:
    found = _JSON_NAMES.get(type(value), "null")
    name = wanted if isinstance(wanted, str) else "value"
    return msgspec.ValidationError(f"Expected `{name}`, got `{found}` - at `{path}`")
