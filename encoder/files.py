"""Files that other processes may read or write, and files that anybody may have made."""

import os
import stat
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

MIB = 1 << 20
CONFIG_BYTES = 4 * MIB
"""Limit of a configuration."""
TEXT_BYTES = 1024 * MIB
"""Limit of a file of text that is read whole, such as training data."""

T = TypeVar("T")


class FileRefused(OSError):
    """A file is not what it is named as: a device, a pipe, far too large, not UTF-8, not JSON or TOML of that type."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then move it there, so that `path` never holds a part of the content."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON by `replace_file`."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def check_file(path: Path, most: int) -> None:
    """Check that a library may open a file by itself: an ordinary file of at most `most` bytes.

    Raises:
        OSError: there is none, or it may not be read.
        FileRefused: it is another kind of file, or too large.
    """
    _open(path, most).close()


def read_file(path: Path, most: int) -> bytes:
    """Read an ordinary file of at most `most` bytes; never waits for a writer, as a pipe would make it.

    Raises:
        OSError: there is none, or it may not be read.
        FileRefused: it is another kind of file, or too large.
    """
    with _open(path, most) as file:
        content: bytes = file.read(most + 1)
    if len(content) > most:  # it has grown, or does not know its size
        raise FileRefused(f"{path}: more than {_say_size(most)}")
    return content


def read_text_file(path: Path, most: int = TEXT_BYTES) -> str:
    """Read a file of UTF-8 by `read_file`; a byte order mark is dropped.

    Raises:
        OSError: see `read_file`.
        FileRefused: see `read_file`; or it is not UTF-8, the message names the line.
    """
    content = read_file(path, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileRefused(
            f"{path}, line {line}: not UTF-8; save it as UTF-8, for example: iconv -f latin1 -t utf-8 OLD > NEW"
        ) from error


def read_fields(path: Path, type_: type[T], most: int = CONFIG_BYTES, form: Literal["JSON", "TOML"] = "JSON") -> T:
    """Read a value of a type from a file of JSON or TOML.

    Raises:
        OSError: see `read_file`.
        FileRefused: see `read_file`; or the content is not such a value. The message is one line.
    """
    return decode_fields(read_file(path, most), path, type_, form)


def decode_fields(content: bytes, path: Path, type_: type[T], form: Literal["JSON", "TOML"] = "JSON") -> T:
    """Decode what a file of JSON or TOML holds; raises `FileRefused` as `read_fields` does."""
    try:
        if form == "TOML":
            return msgspec.toml.decode(content, type=type_)
        return msgspec.json.decode(content, type=type_)
    except RecursionError as error:
        raise FileRefused(f"{path}: nested too deeply") from error
    except (ValueError, msgspec.DecodeError) as error:  # a ValueError: not UTF-8
        raise FileRefused(f"{path}: {to_one_line(str(error))}") from error


def to_one_line(text: str, most: int = 300) -> str:
    """One line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _open(path: Path, most: int) -> Any:
    """Open a file to read; O_NONBLOCK so that a pipe without a writer does not block."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused(f"{path}: not an ordinary file (a folder, pipe or device)")
        if found.st_size > most:
            raise FileRefused(f"{path}: {_say_size(found.st_size)}, more than the limit of {_say_size(most)}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _say_size(size: int) -> str:
    return f"{size / MIB:,.0f} MiB" if size >= MIB else f"{size:,} bytes"
