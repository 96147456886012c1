"""The benchmark of disguises: what is found of words that are found undisguised, by kind."""

import json
import re
from pathlib import Path

from benchmarks.__main__ import main
from benchmarks.disguises import FRAMES, HARMLESS, HARMLESS_FRAMES, WORDS
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.tokenizer.rude_words import RUDE_WORDS
from encoder.train.data.contrast.disguise import KINDS
from encoder.train.data.contrast.templates import read_contrast_lists, read_message_templates
from tests.tiny import tiny_checkpoint


def test_every_kind_is_counted_and_listed_words_are_found_nearly_as_often_as_plain_ones(tmp_path: Path):
    made = tiny_checkpoint()
    made.weights["head.bias"][1] += 9.0  # nearly every word has a label
    save_checkpoint(tmp_path / "t", made.config, made.weights, made.tokenizer)
    assert main(["disguises", "--tagger", str(tmp_path / "t"), "--out", str(tmp_path / "out")]) == 0
    scores = json.loads((tmp_path / "out" / "disguises.json").read_bytes())
    assert [x["kind"] for x in scores] == list(KINDS)
    listed = len(FRAMES) * sum(word in RUDE_WORDS for word in WORDS)
    assert 0 < listed < len(FRAMES) * len(WORDS)
    for score in scores:
        assert 0 < score["of"] <= listed
        assert score["found"] >= 0.85 * score["of"], score
        assert score["of_harmless"] == len(HARMLESS) * len(HARMLESS_FRAMES)
    assert 0 < sum(x["flagged_harmless"] for x in scores) < sum(x["of_harmless"] for x in scores)


def test_no_harmless_word_that_is_measured_was_trained_in_disguise():
    lists = read_contrast_lists()
    texts = [x.text for x in read_message_templates()] + [x for values in lists.lists.values() for x in values]
    trained = set(re.findall(r"\w+", " ".join([*texts, *lists.frames.before, *lists.frames.after]).lower()))
    assert trained.isdisjoint(HARMLESS)
    assert RUDE_WORDS.keys().isdisjoint(HARMLESS)
