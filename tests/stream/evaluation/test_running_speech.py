from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from encoder.train.data.sequence import TextSequence
from stream.evaluation.replay.running_speech import SEGMENTS, join_sentences


def sentence(document, text, tags=""):
    words = tuple(text.split())
    return TextSequence(document, words, tuple(tags.split()) if tags else ("O",) * len(words))


def test_punctuation_is_dropped_and_spans_go_on_over_it():
    said = [sentence("d", "Met , in Rome ( Italy ) .", "O O O B-place I-place I-place O O"), sentence("d", "- .")]
    [(session, found)] = join_sentences(said, True, None)
    assert session == ""
    assert found.words == ("Met", "in", "Rome", "Italy")
    assert found.tags == ("O", "O", "B-place", "I-place")


def test_neighbours_of_a_document_are_joined_up_to_so_many_words():
    said = [sentence("d", "a b"), sentence("d", "c"), sentence("d", "d e f g"), sentence("e", "h"), sentence("", "i")]
    found = [(session, " ".join(x.words)) for session, x in join_sentences([*said, sentence("", "j")], False, 3)]
    assert found == [("1", "a b c"), ("1", "d e f g"), ("2", "h"), ("", "i"), ("", "j")]


DOCUMENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=6)


@given(DOCUMENTS, st.integers(1, 9), st.randoms(use_true_random=False))
def test_joining_keeps_every_word_in_order_and_its_bounds(documents, join, rng):
    sentences = [
        sentence(name, " ".join(f"{i}.{j}.{k}" for k in range(rng.randint(1, 6))))
        for i, (name, count) in enumerate(documents)
        for j in range(count)
    ]
    found = list(join_sentences(sentences, False, join))
    assert [word for _, x in found for word in x.words] == [word for x in sentences for word in x.words]
    longest = {x.words: len(x.words) for x in sentences}
    sessions = {}
    for session, part in found:
        assert len(part.words) <= join or part.words in longest
        sessions.setdefault(session, []).append(part)
    for parts in sessions.values():
        assert len(parts) <= SEGMENTS
        assert len({part.document for part in parts}) == 1
    names = [session for session, _ in found]
    assert names == sorted(names, key=int)  # sessions stand together
    for (_, a), (_, b) in pairwise(found):
        if a.document == b.document:  # no neighbours are left that would have fitted
            first = next(x for x in sentences if x.words[0] == b.words[0])
            assert len(a.words) + len(first.words) > join
