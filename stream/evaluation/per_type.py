"""How well each type of span is found in finished text: what final labels of closed segments are."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from encoder.heads.viterbi import labels_to_spans
from encoder.restart.policies import Never
from encoder.tagger import Tagger
from stream.evaluation.labelled import BATCH
from stream.evaluation.replay.examples import LabelledText, begin_table, sessions_of
from stream.evaluation.replay.word_by_word import Feed
from stream.labelling.hybrid import HybridLabeller


class TypeScore(msgspec.Struct, frozen=True, kw_only=True):
    """One type's spans."""

    kind: str
    gold: int
    """Spans in the gold labels."""
    found: int
    """Spans that the tagger says."""
    right: int
    """Those of them that are in the gold labels, with the same words."""

    @property
    def f1(self) -> float:
        """F1, 0..1; 0 where there is nothing."""
        return 2 * self.right / max(1, self.gold + self.found)


def score_types(tagger: Tagger, examples: Sequence[LabelledText]) -> list[TypeScore]:
    """Label examples, close them, and compare final spans with the gold ones, by type.

    Types are those of the tagger, in the order of its labels.
    """
    names = tagger.config.labels
    gold, found, right = Counter[str](), Counter[str](), Counter[str]()
    sessions = sessions_of(examples)
    for first in range(0, len(sessions), BATCH):
        group = [example for session in sessions[first : first + BATCH] for example in session]
        feed = Feed(HybridLabeller(tagger), Never(), group, begin_table(names))
        for chart, example in zip(feed.run(True), group, strict=True):
            assert chart.closed is not None
            wanted, said = (set(labels_to_spans(x, names)) for x in (example.gold, chart.closed))
            for counter, spans in ((gold, wanted), (found, said), (right, wanted & said)):
                counter.update(kind for _, _, kind in spans)
    kinds = dict.fromkeys(name[2:] for name in names[1:])
    return [TypeScore(kind=x, gold=gold[x], found=found[x], right=right[x]) for x in kinds]
