import msgspec

from stream.messages.types import Update
from tests.samples.make_sample import SAMPLE, SCRIPT, read_script, sample_bytes
from tests.samples.rewriting import rewriting


def updates():
    return [msgspec.json.decode(line, type=Update) for line in SAMPLE.read_bytes().splitlines()]


def test_the_file_is_what_the_generator_makes():
    assert SAMPLE.read_bytes() == sample_bytes(), "run: python -m tests.samples.make_sample"


def test_it_is_ten_minutes_of_several_speakers_in_several_live_sessions():
    stream = updates()
    programme = [u for u in stream if u.session == "programme"]
    speakers = {u.segment.split("-")[1] for u in programme}
    words = sum(len(u.text.split()) for u in programme if u.final)
    assert len(speakers) >= 3
    assert words >= 1500
    assert programme[-1].time - programme[0].time >= 600
    assert 2.4 <= words / (programme[-1].time - programme[0].time) <= 3.0
    for other in ("phone-in", "chat"):
        times = [u.time for u in stream if u.session == other]
        assert programme[0].time < times[0] < times[-1] < programme[-1].time


def test_messages_come_in_order_and_every_segment_closes_once_with_what_was_said():
    stream = updates()
    assert [u.time for u in stream] == sorted(u.time for u in stream)
    closed = {}
    for update in stream:
        key = (update.session, update.segment)
        assert key not in closed, f"{key} goes on after its final"
        if update.final:
            closed[key] = update.text
    assert {(u.session, u.segment) for u in stream} == set(closed)
    said = read_script(SCRIPT.read_text(encoding="utf-8"))
    assert len(closed) == sum(len(rows) for _, rows in said.values())
    assert not any(mark in text for text in closed.values() for mark in "<|>")


def test_interims_come_as_often_as_recognisers_send_them():
    live = {}
    gaps = []
    for update in updates():
        key = (update.session, update.segment)
        if key in live:
            gaps.append(update.time - live[key])
        live[key] = update.time
    interims = sorted(gaps)
    assert interims[0] >= 0.2
    assert interims[len(interims) // 2] <= 1.0


def test_it_rewrites_itself_as_often_as_recorded_streams_do():
    """Recorded: 31 % of the continuing updates rewrite, 72 % of these one word, and 5.4 % of added words go again.

    Those recordings send 6 to 7 words an update, the sample fewer than 2, so `replaced` is bound to be higher here.
    """
    shares = rewriting(updates())
    assert 0.27 <= shares.rewriting <= 0.34
    assert 0.65 <= shares.by_one <= 0.8
    assert 0.04 <= shares.taken_back <= 0.065
    assert 0.1 <= shares.replaced <= 0.2
    assert shares.repeats >= 0.02
    assert 0.2 <= shares.final_fixes <= 0.5


def test_shares_of_a_stream_worked_out_by_hand():
    texts = ["we met", "we met miss", "we met ms rice", "we met", "we met", "we met ms rice in", "we met ms rice"]
    stream = [Update(session="s", segment="u", text=text, final=i == 6) for i, text in enumerate(texts)]
    shares = rewriting(stream)
    assert shares.continuing == 6
    assert shares.words == 4
    assert shares.rewriting == 3 / 6  # miss -> ms rice, the shrink, and the final
    assert shares.by_one == 2 / 3
    assert shares.replaced == 4 / 8  # added: 2 + 1 + 2 + 3
    assert shares.taken_back == 3 / 8
    assert shares.repeats == 1 / 6
    assert shares.final_fixes == 1
