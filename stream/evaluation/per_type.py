"""Scores of each type of span in finished text, from the final labels of closed segments."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from encoder.heads.viterbi import labels_to_spans
from encoder.restart.policies import Never
from encoder.tagger import Tagger
from stream.evaluation.replay.examples import LabelledText, batch_examples
from stream.evaluation.replay.stream_replay import StreamReplay
from stream.evaluation.replay.update_stream import word_stream
from stream.labelling.hybrid import HybridLabeller


class TypeScore(msgspec.Struct, frozen=True, kw_only=True):
    """Score of one type."""

    kind: str
    gold: int
    """Spans in the gold labels."""
    found: int
    """Spans that the tagger found."""
    right: int
    """Found spans that are in the gold labels with the same words."""

    @property
    def f1(self) -> float:
        """F1, 0..1; 0 if there are no spans."""
        return 2 * self.right / max(1, self.gold + self.found)


def score_types(tagger: Tagger, examples: Sequence[LabelledText]) -> list[TypeScore]:
    """Label and close examples, and compare the final spans with the gold ones.

    Returns:
        The score of each type of the tagger, in the order of its labels.
    """
    names = tagger.config.labels
    gold, found, right = Counter[str](), Counter[str](), Counter[str]()
    for numbers in batch_examples(examples):
        group = [examples[i] for i in numbers]
        replay = StreamReplay(HybridLabeller(tagger), Never(), word_stream(group, names, closing=True))
        for chart, example in zip(replay.run(), group, strict=True):
            assert chart.closed is not None
            wanted, said = (set(labels_to_spans(x, names)) for x in (example.gold, chart.closed))
            for counter, spans in ((gold, wanted), (found, said), (right, wanted & said)):
                counter.update(kind for _, _, kind in spans)
    kinds = dict.fromkeys(name[2:] for name in names[1:])
    return [TypeScore(kind=x, gold=gold[x], found=found[x], right=right[x]) for x in kinds]
