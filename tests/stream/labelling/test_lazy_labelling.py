import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoder.heads.word_record import WORD
from encoder.tagger import make_heads
from encoder.tokenizer.incremental import IncrementalTokenizer
from stream.labelling.label_records import NO_SCORES, LabelledWords
from stream.labelling.labeller import PlanWork
from stream.labelling.lazy_labelling import LazyLabelling
from tests.tiny import tiny_checkpoint, tiny_tokenizer

TOKENIZER = IncrementalTokenizer(tiny_tokenizer())
HEAD = make_heads(tiny_checkpoint())[0]
NUMBERS = st.sampled_from([-3.0, 0.0, 1.5, 4.0, 9.0])
WORDS = st.lists(st.tuples(st.integers(0, len(HEAD.labels) - 1), NUMBERS, NUMBERS, st.integers(1, 9)), max_size=9)


def reading_of(text, words, closed):
    encoded = TOKENIZER.encode(text)
    records = np.zeros(encoded.words, WORD)
    for record, (label, base, drift, seen) in zip(records, words, strict=True):
        record["labels"], record["base"], record["drift"], record["seen"] = label, base, drift, min(seen, len(words))
    given = LabelledWords(encoded, NO_SCORES, (records.tobytes(),), (False,), (None,))
    return LazyLabelling(given, 0, HEAD, closed, PlanWork())


@given(
    WORDS, st.booleans(), st.integers(0, 40), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([None, 0.2, 1.0])
)
def test_what_is_read_from_the_records_is_what_the_arrays_say(words, closed, offset, threshold, labelled):
    text = " ".join("ab"[: 1 + i % 2] for i in range(len(words)))
    lazy, arrays = reading_of(text, words, closed), reading_of(text, words, closed).replace()
    assert type(arrays) is not type(lazy)
    first, end = lazy.stable_run(offset, threshold, labelled)
    assert (first, end) == arrays.stable_run(offset, threshold, labelled)
    least = [threshold if labelled is None or not x else labelled for x in arrays.labels]
    stable = [at < 1 and float(x) >= np.float32(at) for x, at in zip(arrays.stability, least, strict=True)]
    assert all(stable[first:end])
    assert lazy.extents() == arrays.extents()
    assert [text[a:b] for a, b in zip(*lazy.extents(), strict=True)] == [
        text[lazy.starts[a] : lazy.ends[b - 1]] for a, b, _ in lazy.spans
    ]
