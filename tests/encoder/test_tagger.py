import numpy as np
import pytest

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.checkpoints.location import CheckpointError
from encoder.heads.viterbi import NO_LABEL, labels_to_spans
from encoder.session.pool import run_plans
from encoder.tagger import load_tagger
from tests.tiny import tiny_checkpoint


def test_a_checkpoint_folder_becomes_labels(tmp_path):
    tiny = tiny_checkpoint()
    save_checkpoint(tmp_path / "mini", tiny.config, tiny.weights, tiny.tokenizer)
    tagger = load_tagger(str(tmp_path / "mini"), max_sessions=2, kernels="torch", number_format="float32")
    assert tagger.name == "mini"
    assert tagger.encoder.config == tiny.config
    encoded = tagger.tokenizer.encode("we met ms rice in paris")
    ((rows,),) = run_plans(tagger.sessions, [tagger.sessions.open_session().plan_update("a", encoded.ids, 0, 0)])
    assert rows.first == 0
    words = rows.logits[encoded.word_token[1:] - 1]  # a word's label is read at its last piece
    starts = np.array([0, len(words)], np.int64)
    decoded = tagger.heads[0].decoder.decode(words, starts, np.array([NO_LABEL], np.int32))
    assert len(decoded.labels) == encoded.words == 6
    labels_to_spans(decoded.labels, tagger.config.labels)


def test_an_unknown_tagger_is_named():
    with pytest.raises(CheckpointError, match="nobody"):
        load_tagger("nobody")
