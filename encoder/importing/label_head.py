"""Token-classification heads in our label order: "O" first, then B-x and I-x of each type.

Only heads that fit a linear layer over BIO labels are accepted; the others are refused with advice.
"""

import re
from typing import Any, NamedTuple

import torch
from torch import Tensor

from encoder.checkpoints.huggingface.folder import ImportRefused

_NEVER = -1e4
"""Bias of an "O" that the head does not have: its probability is 0 in every number format."""
_WAY_OUT = "import the encoder alone with --no-head and tune it on your own data with hearken train"


class ImportedHead(NamedTuple):
    """A label head in our order."""

    labels: tuple[str, ...]
    weight: Tensor  # (labels, H)
    bias: Tensor  # (labels,)
    notes: tuple[str, ...]
    """Notes for the user on how the labels were read."""


def no_head(hidden: int) -> ImportedHead:
    """Make the head of an encoder that will be trained: its only label is "O"."""
    return ImportedHead(("O",), torch.zeros(1, hidden), torch.zeros(1), ())


def read_names(config: dict[str, Any], count: int) -> list[str]:
    """Read `id2label` of a `config.json`.

    Raises:
        ImportRefused: it does not name `count` labels, or they say nothing.
    """
    table = config.get("id2label")
    try:
        numbered = {int(key): str(name) for key, name in table.items()} if isinstance(table, dict) else {}
    except ValueError:
        numbered = {}
    if sorted(numbered) != list(range(count)):
        raise ImportRefused(f"config.json: id2label does not name the head's {count} labels from 0; write them in")
    names = [numbered[i] for i in range(count)]
    if all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        raise ImportRefused(f"config.json: id2label says only {', '.join(names[:3])}; write the labels' names in")
    return names


def read_head(names: list[str], weight: Tensor, bias: Tensor) -> ImportedHead:
    """Put a head's rows into our order.

    BIO labels (IOB2) are taken as they are. Labels without a mark, one a word as in part-of-speech tagging, become
    spans of one word, as in training data. A head without "O" gets one that is never chosen. `weight` is (labels, H)
    and `bias` (labels,), with the rows of `names`.

    Raises:
        ImportRefused: labels of another scheme.
    """
    if len(set(names)) < len(names):
        raise ImportRefused("config.json: id2label names a label twice")
    renamed, notes = _as_bio(names)
    rows = {name: i for i, name in enumerate(renamed)}
    kinds = sorted({name[2:] for name in renamed if name != "O"})
    labels = ("O", *(mark + kind for kind in kinds for mark in ("B-", "I-") if mark + kind in rows))
    if "O" not in rows:
        weight, bias = torch.cat([weight, weight[:1] * 0]), torch.cat([bias, bias.new_tensor([_NEVER])])
        rows["O"] = len(names)
        notes.append('the head has no "O": one was added that is never chosen')
    order = torch.tensor([rows[label] for label in labels])
    return ImportedHead(labels, weight[order], bias[order], tuple(notes))


def _as_bio(names: list[str]) -> tuple[list[str], list[str]]:
    """Rename labels to BIO; gives notes on what was changed too."""
    marked = [name for name in names if re.fullmatch(r"[BIELSUM]-.+", name)]
    others = [name for name in names if name not in marked and name != "O"]
    if not marked:
        if any(re.fullmatch(r"([BIELSU]_.+|.+-[BI])", name) for name in others):
            raise ImportRefused(f"labels such as {others[0]!r} are not BIO; rename them in id2label to B-x and I-x")
        return ["O" if name == "O" else f"B-{name}" for name in names], ["each label is a span of one word"]
    if others:
        raise ImportRefused(f"labels are BIO and others as well ({', '.join(others[:3])}); {_WAY_OUT}")
    marks = sorted({name[0] for name in marked} - {"B", "I"})
    if marks:
        raise ImportRefused(
            f"labels have the marks {', '.join(marks)} beside B and I: one row cannot be both; {_WAY_OUT}"
        )
    alone = [name for name in marked if name[0] == "I" and "B-" + name[2:] not in marked]
    if alone:
        raise ImportRefused(f"no label begins the spans of {alone[0]} (the scheme IO or IOB1); {_WAY_OUT}")
    return names, []
