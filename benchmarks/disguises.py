"""Share of disguised rude words that a tagger finds, of those that it finds undisguised, by kind of disguise.

Each word is put into sentences and sent through `hearken tag` as closed segments, plain and disguised. A word counts as
found if a span touches it. The words of the list whose disguises are undone (`encoder.tokenizer.rude_words`) and others
are reported apart: nothing is promised for the latter.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.harness.tables import Table, make_table
from encoder.tokenizer.rude_words import RUDE_WORDS
from tests.encoder.tokenizer.disguise_kinds import KINDS, disguise

_WORDS = """
    stupid idiot moron shit fuck bitch asshole bastard dickhead faggot scumbag loser pathetic ugly trash garbage
    disgusting worthless clown cretin whore slut cunt retard liar coward dumb crap nazi pervert
    oaf ignoramus nincompoop slimeball ratbag cheapskate gasbag rotter lazybones bonkers
"""
WORDS = _WORDS.split()
FRAMES = ["you are such a {}", "shut up you {}", "what a {} he is", "nobody likes you, {}, go away", "{} all of you"]


class KindScore(msgspec.Struct, frozen=True):
    """Disguised words that were found, of those that were found undisguised."""

    kind: str
    found: int
    of: int
    found_unlisted: int
    of_unlisted: int

    @property
    def share(self) -> float:
        """Share of the listed words."""
        return self.found / self.of if self.of else 0.0


def run_disguises(tagger: str, kinds: Sequence[str] = tuple(KINDS)) -> list[KindScore]:
    """Measure a tagger, as for `hearken tag`, on all kinds of disguises."""
    cases = [(kind, word, frame) for kind in ("", *kinds) for word in WORDS for frame in FRAMES]
    shown = [disguise(kind, word) if kind else word for kind, word, _ in cases]
    found = _find(tagger, [frame.format(x) for x, (_, _, frame) in zip(shown, cases, strict=True)])
    hit = {
        case: any(start < case[2].index("{") + len(word) and end > case[2].index("{") for start, end in spans)
        for case, word, spans in zip(cases, shown, found, strict=True)
    }
    scores = []
    for kind in kinds:
        rows = [(hit[kind, w, f], w in RUDE_WORDS) for k, w, f in cases if k == kind and hit["", w, f]]
        listed, others = [x for x, is_listed in rows if is_listed], [x for x, is_listed in rows if not is_listed]
        scores.append(KindScore(kind, sum(listed), len(listed), sum(others), len(others)))
    return scores


def _find(tagger: str, texts: Iterable[str]) -> list[list[tuple[int, int]]]:
    """Return the spans of each text, labelled alone."""
    lines = [
        json.dumps({"type": "update", "session": f"s{i}", "segment": "u", "text": text, "final": True})
        for i, text in enumerate(texts)
    ]
    command = [sys.executable, "-m", "consumers.cli.main", "tag", "--tagger", tagger]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"hearken tag ended with {done.returncode}: {done.stderr[-500:]}")
    spans: dict[str, list[tuple[int, int]]] = {}
    for line in done.stdout.splitlines():
        revision = json.loads(line)
        if revision.get("type") == "revision":
            spans[revision["session"]] = [(x["start"], x["end"]) for x in revision["spans"]]
    return [spans[f"s{i}"] for i in range(len(lines))]


def disguise_table(scores: Sequence[KindScore]) -> Table:
    """Make the table of the scores."""
    return make_table(
        "Disguised words found, of those found plain",
        scores,
        {
            "kind": lambda x: x.kind,
            "listed": lambda x: f"{x.found}/{x.of}",
            "%": lambda x: f"{100 * x.share:.0f}",
            "not listed": lambda x: f"{x.found_unlisted}/{x.of_unlisted}",
        },
    )
