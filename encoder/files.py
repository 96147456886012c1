"""Files that other processes may read, or that a killed run must not leave half written."""

import os
from pathlib import Path

import msgspec


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then move it there, so that `path` never holds a part of the content."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON by `replace_file`."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
