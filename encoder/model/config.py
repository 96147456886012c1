"""The configuration of a hybrid encoder; it is frozen and stored with the checkpoint."""

from collections.abc import Collection
from typing import Literal

import msgspec


class ConfigError(ValueError):
    """A configuration is invalid; the message names the field and says what to do."""


LIMITS = {
    "stability": (0, 4096),
    "layers": (1, 128),
    "causal_layers": (0, 127),
    "hidden": (1, 16_384),
    "heads": (1, 1024),
    "intermediate": (1, 65_536),
    "vocab_size": (1, 1 << 22),
    "positions": (1, 1 << 20),
    "window": (1, 1 << 19),
    "page_size": (1, 4096),
    "embedding": (1, 16_384),
}
"""Least and most of each size. They keep the cost of a configuration that somebody else has written within bounds; the
largest published encoders are well below them."""
MOST_PARAMETERS = 1 << 31
MOST_TAGGERS = 256
MOST_LABELS = 4096
LONGEST_LABEL = 200
MOST_TEXT_SCORES = 256


class HybridConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shape of a hybrid encoder and of its caches (docs/architecture.md, "The model").

    Layers 1..C (`causal_layers`) are causal and cached per session. Layers C+1..L (`layers`) are bidirectional over the
    tokens from the restart point on, and see the standing states of the `window` tokens before it.

    Raises:
        ConfigError: a field is out of range.
    """

    labels: tuple[str, ...] = ("O",)
    """BIO label names; "O" is first, every "I-x" has its "B-x". Empty types are not allowed."""
    taggers: dict[str, tuple[str, ...]] = {}
    """Several taggers over one encoder: BIO label names by tagger. `labels` is then left at its default."""
    stability: int = 0
    """Hidden units of each tagger's stability head (`encoder.heads.stability_head`); 0: there is no such head."""
    layers: int = 6
    causal_layers: int = 2
    hidden: int = 384
    heads: int = 12
    intermediate: int = 1536
    vocab_size: int = 30522
    positions: int = 496
    """P: positions a session can use before it is re-anchored; a multiple of `page_size`."""
    window: int = 128
    """W: tokens that the tail may see; a multiple of twice `page_size`, and at most half of `positions`."""
    page_size: int = 16
    layer_norm_eps: float = 1e-12
    embedding: int | None = None
    """Width of the embedding tables if it is not `hidden`: a linear layer after their norm widens them (ELECTRA)."""
    gelu: Literal["none", "tanh"] = "none"
    """Approximation of GELU: none (the erf form), or tanh (Hendrycks and Gimpel 2016, section 2)."""
    sink: bool = False
    """Whether every layer has an attention sink: a learned key and value that each query sees beside the tokens, in
    whatever window and at whatever position it is (`encoder.model.dense`)."""
    segment_starts: bool = False
    """Whether the first token of a segment is marked, so that the end of the segment before is seen in text without
    punctuation: its id is that of the word's row in a second word table, `word + start`."""
    spans: bool = False
    """Whether each tagger has a model of the confidence in whole spans (`encoder.heads.span_model`)."""
    text_scores: dict[str, tuple[str, ...]] = {}
    """By tagger: the names of the scores that it gives a whole text (`encoder.heads.text_scores`)."""

    def __post_init__(self) -> None:
        if self.taggers and self.labels != ("O",):
            raise ConfigError("configuration: give either `labels` or `taggers`, not both")
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ConfigError(f"configuration: {name} must be {least:,} to {most:,}, not {value}")
        for labels in self.label_sets.values():
            _check_labels(labels)
        for name, scores in self.text_scores.items():
            _check_text_scores(name, scores, self.label_sets)
        checks = [
            (len(self.taggers) <= MOST_TAGGERS, f"at most {MOST_TAGGERS} taggers", len(self.taggers)),
            (self.causal_layers < self.layers, "causal_layers must be less than layers", self.causal_layers),
            (self.hidden % self.heads == 0, "hidden must be a multiple of heads", self.heads),
            (0 < self.layer_norm_eps < 1, "layer_norm_eps must be between 0 and 1", self.layer_norm_eps),
            (self.positions % self.page_size == 0, "positions must be a multiple of page_size", self.positions),
            (self.window % (2 * self.page_size) == 0, "window must be a multiple of twice page_size", self.window),
            (self.window <= self.positions // 2, "window must be at most half of positions", self.window),
            (self.parameters <= MOST_PARAMETERS, f"at most {MOST_PARAMETERS:,} parameters", self.parameters),
        ]
        for good, message, value in checks:
            if not good:
                raise ConfigError(f"configuration: {message} (got {value})")

    @property
    def parameters(self) -> int:
        """Weights of tables and layers, without norms, biases and heads."""
        layer = self.hidden * (4 * self.hidden + 2 * self.intermediate)
        return (self.vocab_size + self.positions) * self.table_width + self.layers * layer

    def identity_bytes(self) -> bytes:
        """Encode the configuration for the identity of a checkpoint.

        A field that came later is left out while it has its default, so that older checkpoints keep their identity.
        """
        fields: dict[str, object] = msgspec.to_builtins(self)
        for later in ("sink", "segment_starts", "spans", "text_scores"):
            if not fields[later]:
                del fields[later]
        return msgspec.json.encode(fields)

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """Label names by tagger; the only tagger of a checkpoint without `taggers` is named ""."""
        return self.taggers or {"": self.labels}

    @property
    def scores(self) -> int:
        """Number of label scores of a token, all taggers together."""
        return sum(map(len, self.label_sets.values()))

    @property
    def columns(self) -> int:
        """Columns of the scores: of each tagger its label scores, its stability head's units, and its text scores'."""
        return self.scores + self.stability * len(self.label_sets) + 2 * sum(map(len, self.text_scores.values()))

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def table_width(self) -> int:
        """Width of the word and position tables."""
        return self.hidden if self.embedding is None else self.embedding

    @property
    def word_rows(self) -> int:
        """Rows of the word table: the vocabulary, and once more as first tokens of segments if they are marked."""
        return self.vocab_size * (1 + self.segment_starts)

    @property
    def start_mark(self) -> int:
        """What is added to the id of the first token of a segment."""
        return self.word_rows - self.vocab_size

    @property
    def tail_layers(self) -> int:
        """L - C, the bidirectional layers, which a restart computes again."""
        return self.layers - self.causal_layers


def _check_text_scores(tagger: str, names: tuple[str, ...], taggers: Collection[str]) -> None:
    checks = [
        (tagger in taggers, f"text_scores of {tagger[:40]!r}, which is no tagger of the checkpoint"),
        (0 < len(names) <= MOST_TEXT_SCORES, f"a tagger with text_scores has 1 to {MOST_TEXT_SCORES}"),
        (len({*names}) == len(names), "the names of text_scores must not repeat"),
        (all(0 < len(x) <= LONGEST_LABEL for x in names), f"names of text_scores have 1 to {LONGEST_LABEL} characters"),
    ]
    for good, message in checks:
        if not good:
            raise ConfigError(f"configuration: {message} (got {len(names)}: {', '.join(x[:40] for x in names[:10])})")


def _check_labels(labels: tuple[str, ...]) -> None:
    known = set(labels)
    checks = [
        (len(labels) <= MOST_LABELS, f"a tagger has at most {MOST_LABELS} labels"),
        (all(len(x) <= LONGEST_LABEL for x in labels), f"a label has at most {LONGEST_LABEL} characters"),
        (bool(labels) and labels[0] == "O", 'labels must begin with "O"'),
        (len(known) == len(labels), "labels must not repeat"),
        (
            all(x[:2] in ("B-", "I-") and len(x) > 2 for x in labels[1:]),
            'labels after "O" must look like B-type or I-type',
        ),
        (
            all("B-" + x[2:] in known for x in labels if x.startswith("I-")),
            "every I-type label needs its B-type label",
        ),
    ]
    for good, message in checks:
        if not good:
            shown = ", ".join(x[:40] for x in labels[:10])
            raise ConfigError(f"configuration: {message} (got {len(labels)} labels: {shown})")
