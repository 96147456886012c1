"""The peers and Hearken in one process, one thread each: set up, compared in what they compute, and timed."""

from collections.abc import Callable, Sequence

import torch

from benchmarks.dense import make_texts
from benchmarks.harness.machine import setting_of
from benchmarks.peers import onnx, openvino, spacy
from benchmarks.peers import transformers as hugging
from benchmarks.peers.agreement import check_peers
from benchmarks.peers.bert_weights import dense_twin
from benchmarks.peers.interleaved import Cell, window_of
from benchmarks.peers.peer import Build, Material, gather
from benchmarks.peers.report import Given, PeersReport, Side
from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint
from encoder.checkpoints.names import choose_taggers
from encoder.restart.policies import resolve_policy
from encoder.tagger import load_single_tagger

BUILDS: dict[str, Build] = {
    "transformers": hugging.build,
    onnx.NAME: onnx.build,
    openvino.NAME: openvino.build,
    spacy.NAME: spacy.build,
}
CALIBRATION_SEED, CALIBRATION_TEXTS = 11, 60

Tell = Callable[[str, float], None]
"""Told what is done next, and which share of all is done."""


def run_peers(
    name: str,
    counts: Sequence[int],
    lengths: Sequence[int],
    policy: str,
    *,
    repeats: int,
    steps: int,
    tell: Tell,
    builds: dict[str, Build] = BUILDS,
) -> PeersReport:
    """Measure every side for each number of words a segment and of sessions.

    Args:
        name: the tagger.
        counts: numbers of live sessions.
        lengths: words of each session's segment.
        policy: where restarts begin.
        repeats: of each side, in turns.
        steps: of the words of a segment, those that peers run on, spread evenly.
        tell: hears of progress.
        builds: the peers.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
        PeerMismatch: a peer does not compute what it was given.
        NoBert: the tagger's encoder is none.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=max(counts))
    policy = resolve_policy(policy, tagger.default_policy)
    checkpoint = _alone(name)
    texts = [window_of(tagger, x) for x in make_texts(CALIBRATION_TEXTS, 60, CALIBRATION_SEED)]
    uneven = [x[: 8 + 7 * i % max(1, len(x) - 8)] for i, x in enumerate(texts)]
    found = gather(builds, Material(checkpoint, uneven), lambda peer: tell(f"setting up {peer}", 0.0))
    tell("comparing scores", 0.0)
    agreement = check_peers(found.peers, dense_twin(checkpoint), uneven[:8])
    sides: list[tuple[int, int, list[Side]]] = []
    cells = [(words, count) for words in lengths for count in counts]
    for i, (words, count) in enumerate(cells):
        about = f"{words} words, {count} sessions"
        share = i / len(cells)
        cell = Cell(tagger, policy, make_texts(count, words), found.peers, steps)
        sides.append((words, count, cell.run(repeats, lambda at: tell(about, share + at / len(cells)))))  # noqa: B023
    laps = [lap for _, _, cell in sides for side in cell for steps in side.repeats for lap in steps]
    return PeersReport(
        setting=setting_of(tagger, policy),
        repeats=repeats,
        window=tagger.config.window,
        share_of_core=sum(x.cpu for x in laps) / sum(x.wall for x in laps),
        rows=[side.row(words, count) for words, count, cell in sides for side in cell],
        given=[Given(side=x.name, version=x.version, given=x.given) for x in found.peers],
        agreement=agreement,
        missing=found.missing,
    )


def _alone(name: str) -> Checkpoint:
    """The checkpoint with one head, as `load_single_tagger` reads the name."""
    (choice,) = choose_taggers([name])
    checkpoint = load_checkpoint(str(choice.folder))
    return checkpoint.single_head(choice.heads[0]) if choice.heads[0] in checkpoint.config.taggers else checkpoint
