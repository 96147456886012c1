"""Measurement of the labels of whole texts (text scores) of a tagger trained on the user's own data."""

from pathlib import Path

import numpy as np

from consumers.training.model_card import TextLabelFigures
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.train.config import TextSource
from encoder.train.data.text import LabelledCorpus, read_source
from encoder.train.ranking import rank_auc
from encoder.train.run import make_pieces
from encoder.train.stages.dev_score import score_dev

BINS = 10


def measure_text_labels(folder: Path, path: Path, names: tuple[str, ...], *, written: bool) -> list[TextLabelFigures]:
    """Score each text of a file by itself, whole, and compare with its labels.

    Args:
        folder: the checkpoint.
        path: CoNLL file with `# scores =` lines, as `encoder.train.recipe` writes it.
        names: labels that are measured.
        written: read texts as they are; otherwise without punctuation, as recognisers write them.
    """
    checkpoint = load_checkpoint(str(folder))
    source = TextSource(path=str(path), scores={name: name for name in names})
    corpus = LabelledCorpus((source,), [read_source(source)], (0,))
    form = "written" if written else "spoken"
    (row,) = score_dev(
        checkpoint.dense_model(), make_pieces(checkpoint.tokenizer, checkpoint.config), corpus, ("alone",), (form,)
    )
    return [_figures(name, np.array(row.texts.get(name, []), np.float64).reshape(-1, 2)) for name in names]


def _figures(name: str, pairs: np.ndarray) -> TextLabelFigures:
    scores, has = 1 / (1 + np.exp(-pairs[:, 0])), pairs[:, 1] >= 0.5
    high = scores >= 0.5
    error = sum(
        abs(scores[inside].mean() - pairs[inside, 1].mean()) * inside.mean()
        for k in range(BINS)
        if (inside := np.minimum((scores * BINS).astype(int), BINS - 1) == k).any()
    )
    return TextLabelFigures(
        name,
        len(pairs),
        int(has.sum()),
        rank_auc(scores.tolist(), has.tolist()),
        float(high[has].mean()) if has.any() else None,
        float(high[~has].mean()) if (~has).any() else None,
        float(error),
    )
