"""The redacted stream of an engine: its messages, what is stored of it, and that revisions have no text."""

import msgspec
import pytest

from encoder.restart.policies import parse_policy
from stream.engine.engine import Engine
from stream.messages.types import Message
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedMessage, RedactedUpdate
from stream.redaction.policy import RedactionPolicy, parse_release
from stream.redaction.rule_covers import Detection, make_detector
from stream.sessions.redactor import Redactor
from stream.sessions.snapshot import Entry, SegmentState, SessionState, restore_sessions
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import delete, drain, end, final, update

TALK = [
    update("a", "we met anna"),
    update("a", "we met anna and then"),
    update("b", "bob said"),
    final("a", "We met Anna, and then Rice."),
    update("b", "so bob said he is in Rome"),
    update("c", "anna and", speaker="x"),
    delete("b"),
    update("c", "anna and bob went to"),
    update("d", "call may"),
    final("a", "We met Anna, and then nobody."),
    update("c", ""),
    end(),
]


def engine(**policy: object) -> Engine:
    policy = {"style": "numbered"} | policy
    return Engine(FakeLabeller(), parse_policy("last:3"), redactor=Redactor(RedactionPolicy(**policy)))


def run(to: Engine, messages: list[Message], first: int = 0) -> tuple[list[RedactedMessage], list[Entry]]:
    """Redacted messages and entries of messages, each stepped to its end."""
    redacted, entries = [], []
    for offset, message in enumerate(messages, first):
        to.submit(message, offset)
        for result in drain(to):
            redacted += [x.message for x in result.redacted]
            entries += result.entries
    return redacted, entries


def test_the_stream_is_live_text_in_normal_form():
    redacted, _ = run(engine(), TALK)
    assert [x.rev for x in redacted] == list(range(1, len(redacted) + 1))
    messages = [msgspec.json.decode(msgspec.json.encode(x), type=Message) for x in redacted]
    again = Engine(FakeLabeller(), parse_policy("last:3"))
    for offset, message in enumerate(messages):
        again.submit(message, offset)
        drain(again)
    texts = [x.text for x in redacted if isinstance(x, RedactedUpdate)]
    assert any("[PERSON_1]" in x and "[PERSON_2]" in x for x in texts)
    for name in ("anna", "bob", "rice", "rome"):
        assert not any(name in x.lower() for x in texts)
    assert isinstance(redacted[-1], RedactedEnd)
    assert any(isinstance(x, RedactedDelete) and x.segment == "b" for x in redacted)
    last = {x.segment: x for x in redacted if isinstance(x, RedactedUpdate)}
    assert last["a"].final
    assert last["c"].text == ""
    for message in redacted:
        for part in getattr(message, "redactions", ()):
            assert message.text[part.start : part.end].startswith("[")


@pytest.mark.parametrize("withheld", ["omit", "masked"])
@pytest.mark.parametrize("release", ["settled", "final", "words:1"])
@pytest.mark.parametrize("cut", range(1, len(TALK)))
def test_a_cut_run_says_what_the_whole_run_says(cut, release, withheld):
    policy = {"release": parse_release(release), "withheld": withheld}
    whole, _ = run(engine(**policy), TALK)
    before, entries = run(engine(**policy), TALK[:cut])
    stored = [decode(x) for x in entries]
    other = engine(**policy)
    for name, saved in restore_sessions(stored).items():
        other.restore(saved, name)
    after, _ = run(other, TALK[cut:], cut)
    assert [*before, *after] == whole


def decode(entry: Entry) -> Entry:
    """The entry as the changelog gives it back."""
    if entry.value is None:
        return entry
    kind = SessionState if isinstance(entry.value, SessionState) else SegmentState
    return Entry(entry.session, entry.segment, msgspec.msgpack.decode(msgspec.msgpack.encode(entry.value), type=kind))


def test_revisions_have_no_text():
    to = engine()
    spans = []
    for offset, message in enumerate(TALK):
        to.submit(message, offset)
        spans += [y for result in drain(to) for x in result.revisions for y in (*x.spans, *x.retracted)]
    assert spans
    assert {x.text for x in spans} == {""}


def test_nothing_is_left_of_the_numbers_after_the_end():
    to = engine()
    first, _ = run(to, TALK)
    again, entries = run(to, [final("z", "bob and anna"), end()], len(TALK))
    assert again[0].text == "[PERSON_1] and [PERSON_2]"
    assert again[0].rev == first[-1].rev + 1
    assert entries[-1].value is None or entries[-1].value.redaction is None
    assert [x.value.redaction for x in entries if isinstance(x.value, SessionState) and x.value.ended] == [None]


def test_ids_and_speakers_are_hashed_on_request():
    to = engine(hash_ids=True, key=b"0123456789abcdef")
    to.submit(update("anna", "all well now", session="anna", speaker="anna", channel="anna", final=True), 0)
    to.submit(end("anna"), 1)
    results = [x for result in drain(to) for x in result.redacted]
    assert {x.session for x in results} == {"anna"}
    assert b"anna" not in msgspec.json.encode([x.message for x in results])
    assert len({x.message.session for x in results}) == 1


def test_a_session_that_cannot_be_labelled_releases_nothing(monkeypatch):
    to = engine()
    run(to, [update("a", "they all came then")])
    labeller = to.labeller
    monkeypatch.setattr(labeller, "decode", lambda plans: 1 / 0)
    after, _ = run(to, [update("a", "they all came then qz4711 and more")], 1)
    assert after == []
    monkeypatch.undo()
    after, _ = run(to, [final("a", "they all came then")], 2)
    assert [(x.text, x.final) for x in after] == [("they all came then", True)]


def test_a_long_segment_is_read_again_by_rules_only_where_it_is_new():
    """The rules are told no more than the end of a long text, and find the same."""
    read = []
    detect = make_detector()

    def watched(text: str, context: str, *, growing: bool = False) -> Detection:
        read.append(len(text))
        return detect(text, context, growing=growing)

    policy = RedactionPolicy(labels=frozenset({"phone"}))
    to = Engine(FakeLabeller(), parse_policy("last:3"), redactor=Redactor(policy, frozenset(), watched))
    words = " ".join(["and so we went on talking"] * 400)
    texts = [
        f"{words} my number is 202",
        f"{words} my number is 202 555 0143",
        f"{words} my number is 202 555 0143 bye",
    ]
    redacted, _ = run(to, [update("a", words + " "), *(update("a", x) for x in texts), final("a", texts[-1])])
    assert redacted[-1].text == f"{words} my number is [PHONE] bye"
    assert max(read[1:]) < 3000 < read[0]
    assert not any("202" in x.text for x in redacted)


@pytest.mark.parametrize("style", ["label", "numbered"])
def test_what_rules_need_not_read_changes_nothing(style, monkeypatch):
    talk = [
        "my number is", "my number is two oh two five", "my number is two oh two five five five oh one four three",
        "my number is two oh two five five five oh one four three and anna said jo at example",
        "my number is two oh two five five five oh one four three and anna said jo at example dot com is hers or bob's",
    ]  # fmt: skip
    messages = [update("a", " ".join(x.split()[:n])) for x in talk for n in range(1, len(x.split()) + 1)]
    read, heard = [], []
    detect = make_detector()

    def watched(text: str, context: str, *, growing: bool = False) -> Detection:
        read[-1] += 1
        return detect(text, context, growing=growing)

    for holds in (None, lambda *_: False):
        redactor = Redactor(RedactionPolicy(style=style), detect=watched)
        if holds is not None:
            monkeypatch.setattr(redactor, "_holds", holds)
        read.append(0)
        to = Engine(FakeLabeller(), parse_policy("last:3"), redactor=redactor)
        found, _ = run(to, [*messages, final("a", talk[-1])])
        heard.append([(x.offset, x.text, x.redactions) for x in found])
    assert heard[0] == heard[1]
    assert len(heard[0]) > 5
    assert read[0] < read[1]
