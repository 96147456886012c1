"""`hearken train FOLDER`, from data to card, through the guide that tells how (docs/own-data.md), with a tiny model."""

import contextlib
import gc
import io
import re
import shlex
import shutil
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest

from consumers.cli.main import main
from consumers.training import pipeline as own_data
from consumers.training.pipeline import DELTAS, TrainingOrder, pick_delta, train_folder
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.model.config import ConfigError
from encoder.restart.policy_text import DEFAULT_PRICE
from encoder.tagger import load_tagger
from encoder.train.recipe import TrainRecipe
from stream.evaluation.calibration.calibrate import CalibrationReport
from stream.evaluation.calibration.risk_control import judge
from stream.evaluation.metrics.report import EvaluationReport
from stream.evaluation.per_type import score_types
from stream.evaluation.replay.examples import read_examples
from stream.messages.types import Revision
from tests.samples.make_kitchen import KITCHEN, kitchen_bytes
from tests.tiny import tiny_checkpoint

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "own-data.md"
SAMPLES = ROOT / "consumers" / "samples"
SEQUENCES = 200
"""Of the sample, which is more than a test needs."""


def commands():
    """What the guide tells to type, but for services, which need a broker."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.S)).replace("\\\n", " ")
    lines = [shlex.split(line.strip(), comments=True) for line in text.splitlines()]
    return [line for line in lines if line and line[:2] != ["hearken", "serve"]]


def type_in(line):
    """Run a command in this process; returns its exit code and standard output."""
    assert line[0] == "hearken"
    line, stdin = (line[: line.index("<")], line[-1]) if "<" in line else (line, "/dev/null")
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with open(stdin) as lines, pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr("sys.stdin", lines)
        patch.setattr("sys.argv", line)
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # `tag` leaves its input to the exit
            code = main(line[1:])
            gc.collect()
    out.flush()
    return code, out.buffer.getvalue().decode()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    made = tiny_checkpoint()
    folder = tmp_path_factory.mktemp("start") / "tiny"
    save_checkpoint(folder, made.config, made.weights, made.tokenizer)
    return str(folder)


@pytest.fixture(scope="module")
def followed(tmp_path_factory, start):
    """The folder in which the guide was followed, and what its commands said."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(SAMPLES, folder / "consumers" / "samples")
    cut = folder / "consumers" / "samples" / "kitchen" / KITCHEN.name
    cut.write_bytes(b"".join(KITCHEN.read_bytes().splitlines(keepends=True)[:SEQUENCES]))
    told = {}
    with contextlib.chdir(folder):
        for line in commands():
            quick = ["--start", start, "--epochs", "1", "--delta", "0.3"] if line[1] == "train" else []
            code, out = type_in([*line, *quick])  # of an option that comes twice the last one counts
            told[shlex.join(line)] = out
            assert code == 0, line
    return folder, told


def test_the_guide_was_followed(followed):
    folder, told = followed
    names = [line.split()[1] for line in told]
    assert {"train", "tag", "evaluate"} <= set(names)
    trained = next(out for line, out in told.items() if " train " in line)
    assert "hearken tag --tagger runs/kitchen" in trained
    assert "hearken serve --tagger runs/kitchen" in trained
    tagged = next(out for line, out in told.items() if " tag " in line)
    revisions = [msgspec.json.decode(line, type=Revision) for line in tagged.splitlines()]
    assert {x.tagger for x in revisions} == {"kitchen"}
    assert revisions[-1].final
    for name in ("README.md", "reliability.png", "calibration.json", "evaluation.json", "train.toml", "data/dev.conll"):
        assert (folder / "runs" / "kitchen" / name).stat().st_size > 0
    assert not list((folder / "runs").rglob("*.state.pt"))


def test_the_checkpoint_is_calibrated_and_has_its_head(followed):
    checkpoint = load_checkpoint(str(followed[0] / "runs" / "kitchen"))
    assert [x[2:] for x in checkpoint.config.labels[1::2]] == ["amount", "dish", "duration"]
    assert checkpoint.config.stability > 0
    assert checkpoint.calibration[""].certificate.data == "data/dev.conll"


def rows_of(card, heading):
    """Cells of a Markdown table's rows, the table being the first one after a line that holds the heading."""
    lines = card[card.index(heading) :].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| ---"))
    table = lines[first + 1 :]
    end = next(i for i, line in enumerate([*table, ""]) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[:end]]


def test_the_cards_figures_are_those_measured(followed):
    folder = followed[0] / "runs" / "kitchen"
    card = (folder / "README.md").read_text()
    report = msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=EvaluationReport)
    shown = rows_of(card, "## Figures")
    assert len(shown) == len(report.results) == 4
    for row, result in zip(shown, report.results, strict=True):
        m = result.metrics
        assert row[0] == f"`{result.policy}`"
        figures = [m.offline_f1, m.offline_em, m.streaming_em, m.flips_per_word, m.flops_saved]
        said = [float(row[i].removesuffix(" %")) for i in (2, 3, 4, 5, 7)]
        assert said == pytest.approx([*(100 * x for x in figures[:3]), figures[3], 100 * figures[4]], abs=0.051)
    calibration = msgspec.json.decode((folder / "calibrate.json").read_bytes(), type=CalibrationReport)
    assert calibration.chosen
    flat = " ".join(card.split())
    assert f"`price:{calibration.chosen.tau:.4g}`" in flat
    assert f"at most {calibration.delta:g} of streaming" in flat
    assert report.results[-1].policy == f"price:{calibration.chosen.tau!r}"
    assert "Fill in" in card
    assert f"```sh\n{report.command}\n```" in card


def test_the_cards_counts_are_those_of_the_data(followed):
    folder = followed[0] / "runs" / "kitchen"
    card = (folder / "README.md").read_text()
    rows = [msgspec.json.decode(line) for line in KITCHEN.read_bytes().splitlines()[:SEQUENCES]]
    parts = {row[0]: list(map(int, row[2:])) for row in rows_of(card, "## Data")}
    totals = np.sum(list(parts.values()), axis=0).tolist()
    assert totals[0] == len(rows)
    kinds = [kind for row in rows for _, _, kind in row["spans"]]
    assert totals[2:] == [kinds.count(kind) for kind in ("amount", "dish", "duration")]
    assert [int(row[1]) for row in rows_of(card, "by type")] == parts["dev"][2:]


def test_types_add_up_to_the_f1_of_closed_segments(followed):
    """By type and by `hearken evaluate`: two ways to the same final labels."""
    folder = followed[0] / "runs" / "kitchen"
    tagger = load_tagger(str(folder))
    dev = read_examples(folder / "data" / "dev.conll", tagger.config.labels, {}, None, spoken=True)
    types = score_types(tagger, dev)
    report = msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=EvaluationReport)
    right, all_of_them = sum(x.right for x in types), sum(x.gold + x.found for x in types)
    assert 2 * right / all_of_them == pytest.approx(report.results[-1].metrics.offline_f1)


def test_given_again_it_is_done(followed, start, capsys):
    with contextlib.chdir(followed[0]):
        before = Path("runs/kitchen/README.md").stat().st_mtime_ns
        line = ["train", "consumers/samples/kitchen", "--start", start, "--epochs", "1", "--delta", "0.3"]
        assert main(line) == 0
        assert Path("runs/kitchen/README.md").stat().st_mtime_ns == before
        assert main([*line, "--delta", "0.2"]) == 2
        assert "was calibrated with --delta" in capsys.readouterr().err


def write_small(folder):
    """Few sequences: enough to train, not to calibrate."""
    folder.mkdir()
    part = lambda first, count: "".join(  # noqa: E731
        f"in O\nrome {'B-place' if i % 3 else 'O'}\nw{i} O\n\n" for i in range(first, first + count)
    )
    (folder / "train.conll").write_text(part(0, 40))
    (folder / "dev.conll").write_text(part(50, 10))
    (folder / "test.conll").write_text(part(70, 6))


def test_killed_it_goes_on_and_small_data_ends_in_a_tagger(tmp_path, start, monkeypatch, capfd):
    write_small(tmp_path / "mine")
    recipe = TrainRecipe(start=start, epochs=1)
    order = TrainingOrder(tmp_path / "mine", tmp_path / "out", recipe, None, 0.05, "hearken train mine")

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(own_data, "run_evaluation", killed)
        with pytest.raises(KeyboardInterrupt):
            train_folder(order)
    stages = [tmp_path / "out" / name for name in ("work/tagger/config.json", "config.json", "calibrate.json")]
    before = [path.stat().st_mtime_ns for path in stages]
    assert not (tmp_path / "out" / "README.md").exists()
    capfd.readouterr()
    assert train_folder(order) == tmp_path / "out"
    assert [path.stat().st_mtime_ns for path in stages] == before
    said = capfd.readouterr().err
    assert "evaluation on test" in said
    assert "tagger: epoch" not in said

    calibration = msgspec.json.decode(stages[-1].read_bytes(), type=CalibrationReport)
    assert calibration.chosen is None
    assert calibration.delta == DELTAS[-1]
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert calibration.refusal() in card
    assert "`price:0.005`, without any guarantee" in " ".join(card.split())
    assert not (tmp_path / "out" / "reliability.png").exists()
    assert load_tagger(str(tmp_path / "out")).default_policy == DEFAULT_PRICE
    report = msgspec.json.decode((tmp_path / "out" / "evaluation.json").read_bytes(), type=EvaluationReport)
    assert report.sequences == 6
    assert [x.policy for x in report.results] == ["always", "always", DEFAULT_PRICE, DEFAULT_PRICE]
    assert "Hardly measured, with fewer than 20 spans: place (4)." in card


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--delta", "2"], "--delta must be between 0 and 1"),
        (["--start", "nowhere"], "'nowhere' is neither shipped"),
        (["--out", "taken"], "is a checkpoint that no such run made"),
        ([], "40 are needed"),
    ],
)
def test_mistakes_are_one_line(tmp_path, start, capsys, more, said):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.conll").write_text("rome B-place\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text("{}")
    with contextlib.chdir(tmp_path):
        assert main(["train", "mine", "--start", start, *more]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_options_are_for_folders(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("")
    assert main(["train", str(tmp_path / "a.toml"), "--epochs", "3"]) == 2
    assert "options are for a folder of data" in capsys.readouterr().err


def test_the_delta_is_the_strictest_that_can_be_shown():
    picked = []
    for units in (30, 120, 500, 5000):
        rows = np.random.default_rng(units).integers(4, 14, units)
        picked.append(pick_delta(rows, 0.05))
        nothing = np.zeros_like(rows)
        shown = [x for x in DELTAS if judge(nothing, rows, x, 0.05).p_value <= 0.05]
        assert picked[-1] in shown or not shown
    assert picked == sorted(picked, reverse=True)
    assert (picked[0], picked[-1]) == (DELTAS[-1], DELTAS[0])


def test_the_sample_is_what_the_generator_makes():
    assert KITCHEN.read_bytes() == kitchen_bytes(), "run: python -m tests.samples.make_kitchen"


def test_the_samples_spans_are_phrases():
    for line in KITCHEN.read_bytes().splitlines():
        row = msgspec.json.decode(line)
        for first, end, kind in row["spans"]:
            assert re.fullmatch(r"\w.*\w", row["text"][first:end])
            assert (kind == "duration") == bool(re.search("minutes|hours|seconds", row["text"][first:end]))


def test_a_folder_that_cannot_be_read_raises(tmp_path, start):
    order = TrainingOrder(tmp_path, tmp_path / "out", TrainRecipe(start=start), None, 0.05, "")
    with pytest.raises(ConfigError, match=r"no \.conll or \.jsonl"):
        train_folder(order)
