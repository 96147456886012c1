"""The configuration of a hybrid encoder; it is frozen and stored with the checkpoint."""

from typing import Literal

import msgspec


class ConfigError(ValueError):
    """A configuration is invalid; the message names the field and says what to do."""


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

    def __post_init__(self) -> None:
        for labels in self.label_sets.values():
            _check_labels(labels)
        checks = [
            (not self.taggers or self.labels == ("O",), "give either `labels` or `taggers`, not both"),
            (self.stability >= 0, "stability must be at least 0"),
            (0 <= self.causal_layers < self.layers, "causal_layers must be at least 0 and less than layers"),
            (self.hidden % self.heads == 0, "hidden must be a multiple of heads"),
            (self.embedding is None or self.embedding >= 1, "embedding must be at least 1"),
            (self.page_size >= 1, "page_size must be at least 1"),
            (self.positions % self.page_size == 0, "positions must be a multiple of page_size"),
            (self.window % (2 * self.page_size) == 0, "window must be a multiple of twice page_size"),
            (0 < self.window <= self.positions // 2, "window must be at most half of positions"),
        ]
        for good, message in checks:
            if not good:
                raise ConfigError(f"configuration: {message} (got {self})")

    def identity_bytes(self) -> bytes:
        """Encode the configuration for the identity of a checkpoint.

        A field that came later is left out while it has its default, so that older checkpoints keep their identity.
        """
        fields: dict[str, object] = msgspec.to_builtins(self)
        if not self.sink:
            del fields["sink"]
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
        """Columns of the scores: of each tagger its label scores, then its stability head's hidden units."""
        return self.scores + self.stability * len(self.label_sets)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def table_width(self) -> int:
        """Width of the word and position tables."""
        return self.hidden if self.embedding is None else self.embedding

    @property
    def tail_layers(self) -> int:
        """L - C, the bidirectional layers, which a restart computes again."""
        return self.layers - self.causal_layers


def _check_labels(labels: tuple[str, ...]) -> None:
    checks = [
        (bool(labels) and labels[0] == "O", 'labels must begin with "O"'),
        (len(set(labels)) == len(labels), "labels must not repeat"),
        (
            all(x[:2] in ("B-", "I-") and len(x) > 2 for x in labels[1:]),
            'labels after "O" must look like B-type or I-type',
        ),
        (
            all("B-" + x[2:] in labels for x in labels if x.startswith("I-")),
            "every I-type label needs its B-type label",
        ),
    ]
    for good, message in checks:
        if not good:
            raise ConfigError(f"configuration: {message} (got {labels})")
