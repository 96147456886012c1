"""The public surface of `hearken`: what is exported, its examples, and that the rooms do not know it."""

import doctest
import importlib
import pkgutil

import pytest

import hearken

MODULES = sorted(x.name for x in pkgutil.iter_modules(hearken.__path__))


def test_all_is_sorted_complete_and_there() -> None:
    named = {name for name, x in vars(hearken).items() if not name.startswith("_") and not hasattr(x, "__path__")}
    assert named - {*MODULES} == {*hearken.__all__}
    assert sorted(hearken.__all__) == hearken.__all__
    assert all(getattr(hearken, name).__doc__ for name in hearken.__all__ if name not in ("Event", "Message"))


@pytest.mark.parametrize("name", ["hearken", *(f"hearken.{x}" for x in MODULES)])
def test_examples_of_docstrings_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0
