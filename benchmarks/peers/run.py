"""Comparison with peers: all sides in one process, on one thread each; set up, checked for agreement, and timed."""

from collections.abc import Sequence

import torch

from benchmarks.harness.interleaved import Side
from benchmarks.harness.machine import setting_of
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import make_texts
from benchmarks.peers import dense, onnx, openvino, spacy
from benchmarks.peers import transformers as hugging
from benchmarks.peers.agreement import check_peers
from benchmarks.peers.bert_weights import dense_twin
from benchmarks.peers.comparison import NO_RESTARTS, Comparison, window_of
from benchmarks.peers.peer import Build, Material, build_peers
from benchmarks.peers.report import PeerSetup, PeersReport
from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint
from encoder.checkpoints.names import choose_taggers
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import load_single_tagger

BUILDS: dict[str, Build] = {
    dense.PACKED: dense.build_packed,
    "transformers": hugging.build,
    onnx.NAME: onnx.build,
    openvino.NAME: openvino.build,
    spacy.NAME: spacy.build,
}
DENSE: dict[str, Build] = {"own code": dense.build}
CALIBRATION_SEED, CALIBRATION_TEXTS = 11, 60
_CAUSAL = PeerSetup(
    side=NO_RESTARTS,
    version="",
    given="the engine itself under the policy `never`: a word is computed once, on what came before it, and its "
    "segment is not closed; the time includes words, labels and revisions, as the engine's does",
)


def run_peers(
    name: str,
    counts: Sequence[int],
    lengths: Sequence[int],
    policy: str,
    *,
    repeats: int,
    steps: int,
    progress: ReportProgress,
    builds: dict[str, Build] = BUILDS,
    number_format: str = "auto",
) -> PeersReport:
    """Measure every side at each number of words a segment and of sessions.

    Args:
        name: the tagger.
        counts: numbers of live sessions.
        lengths: words of each session's segment.
        policy: restart policy.
        repeats: of each side, in turns.
        steps: words of a segment after which peers run, spread evenly.
        progress: called with what is done next.
        builds: the peers.
        number_format: of the engine.

    Raises:
        CheckpointError: the tagger cannot be read.
        NumberFormatError: this machine does not have the number format.
        PolicyError: the policy cannot be parsed.
        PeerMismatch: a peer does not compute what it was given.
        NoBert: the tagger's encoder is not a BERT.
    """
    torch.set_num_threads(1)
    # Twice as many slots as sessions: the packed re-run holds one for each text.
    tagger = load_single_tagger(name, max_sessions=2 * max(counts) + 1, number_format=number_format)
    policy = resolve_policy(policy, tagger.default_policy)
    checkpoint = _load_head(name)
    texts = [window_of(tagger, x) for x in make_texts(CALIBRATION_TEXTS, 60, CALIBRATION_SEED)]
    uneven = [x[: 8 + 7 * i % max(1, len(x) - 8)] for i, x in enumerate(texts)]
    material = Material(checkpoint, uneven, tagger.encoder)
    found = build_peers(builds, material, lambda peer: progress(f"setting up {peer}", 0.0))
    progress("comparing scores", 0.0)
    agreement = check_peers(found.peers, dense_twin(checkpoint), uneven[:8])
    sides: list[tuple[int, int, list[Side]]] = []
    cells = [(words, count) for words in lengths for count in counts]
    for i, (words, count) in enumerate(cells):
        about = f"{words} words, {count} sessions"
        share = i / len(cells)
        comparison = Comparison(tagger, policy, make_texts(count, words), found.peers, steps)
        sides.append((words, count, comparison.run(repeats, lambda at: progress(about, share + at / len(cells)))))  # noqa: B023
    steps_run = [step for _, _, cell in sides for side in cell for run in side.runs for step in run.steps]
    return PeersReport(
        setting=setting_of(tagger, policy),
        repeats=repeats,
        window=tagger.config.window,
        share_of_core=sum(x.cpu for x in steps_run) / sum(x.wall for x in steps_run),
        rows=[side.row(words, count) for words, count, cell in sides for side in cell],
        given=[_CAUSAL, *(PeerSetup(side=x.name, version=x.version, given=x.given) for x in found.peers)],
        agreement=agreement,
        missing=found.missing,
    )


def _load_head(name: str) -> Checkpoint:
    """Load the checkpoint with one head, as `load_single_tagger` reads the name."""
    (choice,) = choose_taggers([name])
    checkpoint = load_checkpoint(str(choice.folder))
    return checkpoint.single_head(choice.heads[0]) if choice.heads[0] in checkpoint.config.taggers else checkpoint
