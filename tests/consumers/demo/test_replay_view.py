"""What `hearken replay` shows on a terminal: the text that it sends, with the labels that a service publishes."""

import io
import json
import re

import msgspec
from aiokafka import AIOKafkaProducer
from rich.console import Console

from consumers.demo.live_text import KEPT, LiveText
from consumers.demo.replay_view import follow_revisions
from consumers.kafka.brokers.embedded import EmbeddedBroker
from stream.messages.types import Delete, Revision, Span, Update


def terminal() -> tuple[LiveText, io.StringIO]:
    out = io.StringIO()
    return LiveText(Console(file=out, force_terminal=True, width=70, height=20), animated=False), out


def plain(out: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())


def label(segment: str, text: str, word: str, final: bool = True) -> Revision:
    start = text.index(word)
    span = Span(id=1, start=start, end=start + len(word), label="person", text=word, stability=1.0)
    return Revision(tagger="ner", session="s", segment=segment, rev=1, offset=0, final=final, spans=(span,), added=(1,))


async def test_the_text_that_was_sent_has_the_labels_that_come_back() -> None:
    broker = EmbeddedBroker()
    view, out = terminal()
    try:
        async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            await producer.send_and_wait(
                "revisions", msgspec.json.encode(label("u1", "earlier bob", "bob")), partition=0
            )
            with view:
                async with follow_revisions(broker.address, "revisions", view, 30.0):
                    view.hear(Update(session="s", segment="u1", text="we met anna", final=True))
                    values = [b"not ours", json.dumps({"type": "other"}).encode()]
                    values.append(msgspec.json.encode(label("u1", "we met anna", "anna")))
                    for value in values:
                        await producer.send_and_wait("revisions", value, partition=0)
    finally:
        broker.close()
    assert view.revisions == 1
    assert "we met anna" in plain(out)
    assert plain(out).rstrip().endswith("person")
    assert "earlier" not in plain(out)


async def test_without_a_topic_of_revisions_the_text_is_shown_alone() -> None:
    view, out = terminal()
    with view:
        async with follow_revisions("127.0.0.1:1", "revisions", view, 0.2):
            view.hear(Update(session="s", segment="u1", text="we met anna"))
    assert "we met anna" in plain(out)


def test_many_segments_that_nobody_closes_are_printed_and_forgotten() -> None:
    view, out = terminal()
    with view:
        for number in range(KEPT + 20):
            view.hear(Update(session="s", segment=f"u{number}", text=f"text {number} end"))
        assert len(view._transcript.turns) == KEPT
        view.hear(Delete(session="s", segment="u50"))
        view.see(label("u50", "text 50 end", "end"))
    shown = plain(out)
    assert all(f"text {number} end" in shown for number in range(KEPT + 20) if number != 50)
    assert "text 50 end" not in shown
