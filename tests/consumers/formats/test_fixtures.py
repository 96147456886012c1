"""What each vendor's handwritten fixture becomes."""

import pytest

from consumers.formats.registry import FORMATS
from tests.consumers.formats.runs import Run, fixture, said

WITH_SESSIONS = {"twitch": "900", "youtube": "chat-A", "slack": "C024", "discord": "55", "normal": "s"}

STANDS = {
    "normal": {"u1": "we met ms rice in rome"},
    "deepgram": {
        "5a3c1f20-0000-4000-8000-00000000000a/0@0.000": "My name is Nadia Brandt.",
        "5a3c1f20-0000-4000-8000-00000000000a/0@2.500": "I called Monday. Did you?",
        "5a3c1f20-0000-4000-8000-00000000000a/1@4.500": "This is Omar.",
        "77777777-0000-4000-8000-00000000000b/0@0.000": "Sorry, I was cut off.",
    },
    "deepgram-flux": {
        "9d0c77e1-0000-4000-8000-00000000000c/turn-0": "Is Priya in Lisbon?",
        "9d0c77e1-0000-4000-8000-00000000000c/turn-2": "Thanks ...",
    },
    "aws-transcribe": {"ch_0@0.025": "We met Ines, in Oslo.", "ch_1@2.900": "Goodbye ..."},
    "assemblyai": {"turn-0": "Hi, Sofia.", "turn-1": "is lena ..."},
    "google": {"audio:1": "who is tariq", "channel-2:7": " he is here", "channel-2:8.5": " and gone ..."},
    "azure": {"channel-0@0.600": "Call Mr. Okafor.", "channel-0@6.000": "On May 3."},
    "openai-realtime": {"item_A1": "I spoke with Yuki Tanabe.", "item_B2": "Good"},
    "vosk": {"audio:1": "ask mira forster", "audio:6": "yes", "audio:8": "yes", "audio:12": "bye"},
    "whisperlive": {
        "c0ffee00-1111@0.000": " Ana came from Turin.",
        "c0ffee00-1111@2.100": " She met Bo.",
        "c0ffee00-1111@4.000": " Then they left.",
        "c0ffee00-1111@6.000": " Well ...",
    },
    "whisper-streaming": {"audio:0": "Here is Mr Anders Holm.", "audio:4": " He lives in Kyoto ..."},
    "watson": {"result-0": "hello this is Greta ", "result-1": "hi Greta it's Noor "},
    "captions": {
        "cue@1.000": "Good evening & welcome,",
        "cue@3.000": "thank you, Mayor.",
        "cue@5.000": "the bridge in Delft",
        "cue@8.000": "is closed today.",
    },
    "twitch": {"m-1": "greetings from Porto PogChamp", "m-5": "a year with you"},
    "youtube": {"L1": "hello from Quito", "L3": "say hi to Remy"},
    "slack": {
        "1790000000.000100": "ask <@U222> about R&D in Tromsø",
        "1790000013.001300": "build 71 passed",
    },
    "discord": {"7001": "meet me in Nice"},
    "soniox": {
        "audio:1": "Is Priya in Lisbon?",
        "audio:7.5": "Yes she is.",
        "audio:9": "Thanks",
        "audio:11.5": "Sorry",
    },
    "speechmatics": {"audio:3": "Ask Mira, in Graz. ", "audio:13": "Good "},
    "gladia": {"g-1/0/00-1": "Who is Tariq?", "g-1/1/01-1": "Hello Noor.", "g-1/0/00-2": "and"},
    "elevenlabs": {"audio:1": "Call Mr. Okafor.", "audio:9": "Yes.", "audio:12": "Yes.", "audio:17": "On May ..."},
    "cartesia": {
        "c-1/audio:0": "We met Ines, in Oslo.",
        "c-1/audio:12": "Goodbye",
        "c-1/turn:16": "Thanks, Sofia.",
        "c-1/turn:24": "is lena ...",
    },
    "recall": {
        "t-1/7@0.500": "My name is Ruth Odell.",
        "t-1/8@1.000": "Sorry, Nadia.",
        "chat/8@3.5": "see you in Turin",
        "t-1/8@6.000": "Then ...",
    },
    "rev": {"audio@0.500": "Hello, this is Greta Holm.", "audio@3.000": "hi Greta", "audio@0.200": "Noor here."},
    "zoom": {
        "16778240@1772359200.000": "We met in Porto.",
        "16778241@1772359204.000": "Was Kofi there?",
        "agent@1772359206.000": "Please hold.",
        "16778240@1772359207.000": "Yes.",
        "16778240@1772359208.500": "Yes.",
    },
    "twilio": {
        "GT1/inbound_track:1": "I spoke with Yuki.",
        "GT1/outbound_track:3": "One moment, please.",
        "GT1/inbound_track:10": "and Bram",
    },
    "openai-chat": {
        "chat-1/choice-0": "Good morning, Lena",
        "chat-1/choice-1": "Ask Anders Holm.",
        "chat-2/choice-0/refusal": "I cannot say.",
    },
    "openai-responses": {
        "msg_1": "We met Ines in Oslo.",
        "msg_2/1": "I cannot say.",
        "msg_3": "Call Om",
        "msg_4": "Good",
    },
    "anthropic": {
        "block-1:5": "Here is Ms Andersen.",
        "block-2:10": "She lives in Ky",
        "block-0:15": "She lives in Kyoto.",
    },
}
OF_A_CONNECTION = ("deepgram", "deepgram-flux", "whisperlive", "gladia", "cartesia", "recall", "twilio", "openai-chat")
"""Their values name a session: the connection, the call or the answer."""


def run(name: str, values: list[bytes] | None = None) -> Run:
    session = None if name in WITH_SESSIONS else "call-1"
    return Run(name, session).tell(fixture(name) if values is None else values)


def test_every_format_has_a_fixture() -> None:
    assert STANDS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", STANDS)
def test_what_stands_at_the_end(name: str) -> None:
    done = run(name)
    assert not done.bad
    assert done.texts(WITH_SESSIONS.get(name, "call-1")) == STANDS[name]


@pytest.mark.parametrize("name", [x for x in STANDS if x != "normal"])
def test_the_last_value_again_changes_nothing(name: str) -> None:
    done = run(name)
    session = WITH_SESSIONS.get(name, "call-1")
    before = done.texts(session)
    done.tell(fixture(name)[-1:], first=100)
    assert done.texts(session) == before


@pytest.mark.parametrize("name", [x for x in STANDS if x not in WITH_SESSIONS])
def test_a_record_without_any_session_is_bad(name: str) -> None:
    values = fixture(name)
    alone = Run(name, None).tell(values)
    if name in OF_A_CONNECTION:
        assert not alone.bad
    else:
        assert {x.reason for x in alone.bad} == {"no_session"}


def test_words_have_the_times_and_the_speakers_of_their_vendor() -> None:
    deepgram = run("deepgram").segments()
    assert said(deepgram["5a3c1f20-0000-4000-8000-00000000000a/0@0.000"])[3:] == [
        ("Nadia", 1.0, 1.6, None),
        ("Brandt.", 1.6, 2.2, None),
    ]
    assert (
        deepgram["5a3c1f20-0000-4000-8000-00000000000a/0@0.000"].speaker,
        deepgram["5a3c1f20-0000-4000-8000-00000000000a/0@0.000"].channel,
    ) == ("0", "0")
    assert said(deepgram["5a3c1f20-0000-4000-8000-00000000000a/0@2.500"])[2:4] == [
        ("Monday.", 3.2, 3.7, "0"),
        ("Did", 3.8, 4.0, "1"),
    ]
    aws = run("aws-transcribe").segments()["ch_0@0.025"]
    assert said(aws) == [
        ("We", 0.1, 0.3, "0"),
        ("met", 0.3, 0.6, "0"),
        ("Ines,", 0.7, 1.1, "0"),
        ("in", 1.3, 1.4, "1"),
        ("Oslo.", 1.4, 1.9, "1"),
    ]
    assert aws.channel == "ch_0"
    google = run("google").segments()["audio:1"]
    assert said(google) == [("who", 0.0, 0.4, "1"), ("is", 0.4, 0.6, "1"), ("tariq", 0.6, 1.3, "2")]
    azure = run("azure").segments()
    assert said(azure["channel-0@0.600"])[1:] == [("Mr.", 0.9, 1.3, None), ("Okafor.", 1.3, 2.5, None)]
    assert (azure["channel-0@0.600"].speaker, azure["channel-0@0.600"].channel) == ("Guest-1", "0")
    assert said(azure["channel-0@6.000"])[2] == ("3.", 6.4, 6.9, None)
    assembly = run("assemblyai").segments()["turn-0"]
    assert (said(assembly), assembly.speaker) == ([("Hi,", 1.92, 2.0, None), ("Sofia.", 2.8, 3.1, None)], "A")
    vosk = run("vosk").segments()["audio:1"]
    assert said(vosk)[2] == ("forster", 0.9, 1.4, None)
    flux = run("deepgram-flux").segments()["9d0c77e1-0000-4000-8000-00000000000c/turn-0"]
    assert said(flux)[3] == ("Lisbon?", 1.3, 1.9, None)
    live = run("whisperlive").segments()
    assert (said(live["c0ffee00-1111@0.000"])[0], live["c0ffee00-1111@0.000"].speaker) == (
        ("Ana", 0.0, 2.0, None),
        "SPEAKER_00",
    )
    assert said(live["c0ffee00-1111@4.000"])[2] == ("left.", 4.8, 5.5, None)
    lines = run("whisper-streaming").segments()["audio:0"]
    assert said(lines)[1:3] == [("is", 0.0, 1.72, None), ("Mr", 1.72, 2.9, None)]
    cues = run("captions").segments()
    assert cues["cue@1.000"].speaker == "Mayor Odell"
    assert cues["cue@3.000"].speaker == "Ruth"
    assert said(cues["cue@5.000"])[1:] == [
        ("bridge", 5.0, 5.5, None),
        ("in", 5.5, 6.0, None),
        ("Delft", 6.0, 6.5, None),
    ]


def test_speakers_of_watson_come_later_and_are_revised() -> None:
    values = fixture("watson")
    early = run("watson", values[:-1]).segments()
    assert early["result-0"].speaker == "0"
    assert [speaker for *_, speaker in said(early["result-1"])] == ["0", "0", "1", "1"]
    late = run("watson", values).segments()["result-1"]
    assert (late.speaker, {speaker for *_, speaker in said(late)}) == ("1", {None})


def test_segments_of_diarizing_openai_models_have_their_speaker() -> None:
    item = run("openai-realtime", fixture("openai-realtime")[:-2]).segments()["item_C3"]
    assert said(item)[2:4] == [("Bram", 4.0, 5.5, "A"), ("In", 5.5, 6.5, "B")]
    assert item.closed


@pytest.mark.parametrize(
    ("name", "segment", "author", "time"),
    [
        ("twitch", "m-1", "11", 1772359201.5),
        ("youtube", "L1", "UC1", 1772359200.25),
        ("slack", "1790000000.000100", "U111", 1790000000.0001),
        ("discord", "7001", "801", 1772359200.5),
    ],
)
def test_a_chat_message_has_its_author_and_its_time(name: str, segment: str, author: str, time: float) -> None:
    heard = run(name).segments(WITH_SESSIONS[name])[segment]
    assert heard.closed
    assert heard.speaker == author
    assert heard.times[0] is not None
    assert heard.times[0].start == time


def test_a_later_connection_ends_what_stands_where_its_numbers_begin_again() -> None:
    for name, signal in (("assemblyai", 0), ("watson", 0)):
        values = fixture(name)
        done = run(name, [*values, values[signal]])
        assert done.texts() == {}, name
        done.tell(values[1:2], first=50)
        assert len(done.texts()) == 1, name
