"""Watson tells speakers after the words: spans that were published by then are published again with theirs."""

import msgspec

from consumers.formats.readers import FormatReader
from consumers.formats.speech.watson import FORMAT
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from tests.stream.fake_tagger import fake_labeller


def test_speakers_that_come_after_the_words_reach_the_spans() -> None:
    engine = Engine(fake_labeller("ner"), Last(2))
    reader = FormatReader(FORMAT, engine.intake.segments)
    timed = [["anna", 0.1, 0.4], ["met", 0.5, 0.7], ["bob", 0.8, 1.1]]
    final = {"final": True, "alternatives": [{"transcript": "anna met bob ", "timestamps": timed}]}
    labels = [
        {"from": start, "to": end, "speaker": speaker, "confidence": 0.6, "final": False}
        for (_, start, end), speaker in zip(timed, (0, 0, 1), strict=True)
    ]
    said = []
    for offset, value in enumerate(({"result_index": 0, "results": [final]}, {"speaker_labels": labels})):
        for message in reader.read(msgspec.json.encode(value), b"call", offset):
            engine.submit(message, offset)
        while engine.pending:
            said += engine.step().revisions
    assert [[(x.text, x.speaker) for x in r.spans] for r in said] == [
        [("anna", None), ("bob", None)],
        [("anna", "0"), ("bob", "1")],
    ]
    assert all(r.final for r in said)
