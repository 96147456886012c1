"""Share of disguised rude words that a tagger finds, of those that it finds undisguised, by kind of disguise.

Harmless words in the same disguises tell whether it is the word that is found or the disguise; made-up messages
for training hold none of them. Each word is put into sentences and sent through `hearken tag` as closed segments,
plain and disguised. A word counts as found if a span touches it. The words of the list whose disguises are undone
(`encoder.tokenizer.rude_words`) and others are reported apart: nothing is promised for the latter.
"""

from collections.abc import Sequence

import msgspec

from benchmarks.harness.tables import Table, make_table
from benchmarks.harness.tag_command import tag_alone
from encoder.tokenizer.rude_words import RUDE_WORDS
from encoder.train.data.contrast.disguise import KINDS, disguise

_WORDS = """
    stupid idiot moron shit fuck bitch asshole bastard dickhead faggot scumbag loser pathetic ugly trash garbage
    disgusting worthless clown cretin whore slut cunt retard liar coward dumb crap nazi pervert
    oaf ignoramus nincompoop slimeball ratbag cheapskate gasbag rotter lazybones bonkers
"""
WORDS = _WORDS.split()
FRAMES = ["you are such a {}", "shut up you {}", "what a {} he is", "nobody likes you, {}, go away", "{} all of you"]

HARMLESS = ["guitar", "pillow", "blanket", "dolphin", "pepper", "umbrella", "lantern", "orchard", "velvet", "saddle"]
HARMLESS_FRAMES = ["the {} is on page nine", "have you seen my {}?", "{}, please"]


class KindScore(msgspec.Struct, frozen=True):
    """Disguised words that were found, of those that were found undisguised."""

    kind: str
    found: int
    of: int
    found_unlisted: int
    of_unlisted: int
    flagged_harmless: int
    """Harmless words in disguise that a span touches."""
    of_harmless: int

    @property
    def share(self) -> float:
        """Share of the listed words."""
        return self.found / self.of if self.of else 0.0


def run_disguises(tagger: str, kinds: Sequence[str] = tuple(KINDS)) -> list[KindScore]:
    """Measure a tagger, as for `hearken tag`, on all kinds of disguises."""
    texts = [(word, frame) for word in WORDS for frame in FRAMES]
    harmless = [(word, frame) for word in HARMLESS for frame in HARMLESS_FRAMES]
    cases = [(kind, *text) for kind in ("", *kinds) for text in (*texts, *harmless)]
    shown = [disguise(kind, word) if kind else word for kind, word, _ in cases]
    revisions = tag_alone(tagger, [frame.format(x) for x, (_, _, frame) in zip(shown, cases, strict=True)])
    found = [[(x["start"], x["end"]) for x in revision["spans"]] for revision in revisions]
    hit = {
        case: any(start < case[2].index("{") + len(word) and end > case[2].index("{") for start, end in spans)
        for case, word, spans in zip(cases, shown, found, strict=True)
    }
    scores = []
    for kind in kinds:
        rows = [(hit[kind, w, f], w in RUDE_WORDS) for w, f in texts if hit["", w, f]]
        listed, others = [x for x, is_listed in rows if is_listed], [x for x, is_listed in rows if not is_listed]
        flagged = sum(hit[kind, word, frame] for word, frame in harmless)
        scores.append(KindScore(kind, sum(listed), len(listed), sum(others), len(others), flagged, len(harmless)))
    return scores


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
            "harmless": lambda x: f"{x.flagged_harmless}/{x.of_harmless}",
        },
    )
