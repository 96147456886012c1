"""The bench of fairness: a short run of all of it on a tiny tagger, and what it counts."""

import asyncio
import json
from pathlib import Path

from benchmarks.__main__ import main
from benchmarks.fairness.client import Answer, StreamSocket
from benchmarks.fairness.overload import INTERIMS, Speaker
from benchmarks.fairness.run import FairnessReport, Wait, fairness_tables
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint


def test_a_short_run_of_all_of_it(tmp_path: Path) -> None:
    made = tiny_checkpoint(stability=8, positions=480, window=128, page_size=16)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    options = ["--quick", "--sockets", "3", "--seconds", "1", "--out", str(tmp_path)]
    assert main(["fairness", "--tagger", str(tmp_path / "tiny"), *options]) == 0
    found = json.loads((tmp_path / "fairness.json").read_bytes())
    assert len(found["waits"]) == 2
    assert all(0 < x["usual_median"] <= x["usual_p99"] and 0 < x["median"] <= x["most"] for x in found["waits"])
    assert found["overload"]["sockets"] == 3
    assert found["overload"]["finals"] > 0


class _Socket:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def send(self, message: object) -> int:
        self.sent.append(message)
        return len(self.sent) - 1


async def test_a_revision_answers_all_updates_up_to_its_own_and_a_final_one_must_be_of_the_newest_text() -> None:
    speaker = Speaker(0, socket=_Socket())  # type: ignore[arg-type]
    for _ in range(INTERIMS + 1):
        speaker.send()
    assert [x.final for x in speaker.socket.sent] == [False] * INTERIMS + [True]  # type: ignore[union-attr]
    speaker.take(Answer("revision", "0", offset=3))
    assert len(speaker.waits) == 4
    assert speaker.wrong_finals == 1  # it is missing
    name = speaker.finals["0"].split()[-1]
    speaker.take(Answer("revision", "0", offset=INTERIMS, final=True, spans=[{"text": "of another text"}]))
    assert len(speaker.waits) == INTERIMS + 1
    assert speaker.wrong_finals == 1
    speaker.take(Answer("revision", "0", offset=INTERIMS, final=True, spans=[{"text": name}]))
    assert speaker.wrong_finals == 0


async def test_frames_are_taken_however_they_arrive() -> None:
    answers: list[Answer] = []
    socket = StreamSocket(answers.append)
    text = b'{"type": "revision", "segment": "u", "offset": 7}'
    long = b'{"type": "revision", "segment": "' + b"u" * 70_000 + b'"}'
    frames = bytes([0x81, len(text)]) + text + bytes([0x81, 127]) + len(long).to_bytes(8, "big") + long
    data = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frames
    for start in range(0, len(data), 997):
        socket.data_received(data[start : start + 997])
    await asyncio.wait_for(socket.ready, 1)
    assert [(len(x.segment), x.offset) for x in answers] == [(1, 7), (70_000, -1)]


def test_waits_are_compared_with_the_usual_ones() -> None:
    wait = Wait("a text", 0.002, 0.004, 0.008, 0.009, 0.01, 3.0)
    assert wait.ratio == 4
    (table,) = fairness_tables(FairnessReport([wait], None))
    assert table.rows == [["a text", "2", "4", "8", "9", "10.0", "4.00x", "3"]]
