"""The site of the documentation is built without a warning: links lead somewhere, docstrings can be read."""

import importlib.util
import os
import sys

import pytest

import hearken
from configs.docs.build import ROOT, SECTIONS
from tests.waiting import run

MISSING = [x for x in ("mkdocs", "mkdocstrings", "material") if importlib.util.find_spec(x) is None]


def test_the_reference_has_everything_that_is_public() -> None:
    named = [x for names in SECTIONS.values() for x in names]
    assert len(named) == len(set(named))
    assert {*hearken.__all__} - {*named} == {"Event", "Message", "RedactedMessage"}
    assert {*named} <= {*hearken.__all__}


def test_the_site_is_built() -> None:
    if MISSING and not os.environ.get("CI"):
        pytest.skip(f"{', '.join(MISSING)}: not installed (make setup)")
    done = run([sys.executable, "configs/docs/build.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (ROOT / "build/docs/api/python.html").read_text("utf-8")
    assert 'id="hearken.AsyncClient.append"' in page or 'id="hearken.Stream.append"' in page
    assert "acted upon" in page
