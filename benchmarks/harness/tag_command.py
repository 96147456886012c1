"""Labels of `hearken tag`, run as a command: what a user gets, whatever the tagger."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consumers.common.errors import OperationFailed


def run_tag(tagger: str, messages: Iterable[Mapping[str, object]]) -> list[dict[str, Any]]:
    """Feed messages in normal form to `hearken tag`; returns the revisions, in order.

    Raises:
        OperationFailed: the command failed.
    """
    command = [sys.executable, "-m", "consumers.cli.main", "tag", "--tagger", tagger]
    given = "\n".join(map(json.dumps, messages))
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OperationFailed(f"hearken tag ended with {done.returncode}: {done.stderr[-500:]}")
    answers = map(json.loads, done.stdout.splitlines())
    return [answer for answer in answers if answer.get("type") == "revision"]


def tag_alone(tagger: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Label each text alone, as a closed segment of a session of its own; returns the last revision of each.

    Raises:
        OperationFailed: the command failed, or left a text out.
    """
    messages = [
        {"type": "update", "session": f"s{i}", "segment": "u", "text": text, "final": True}
        for i, text in enumerate(texts)
    ]
    found = {revision["session"]: revision for revision in run_tag(tagger, messages)}
    if missing := len(texts) - len(found):
        raise OperationFailed(f"hearken tag returned no revision for {missing:,} texts")
    return [found[f"s{i}"] for i in range(len(texts))]
