"""Nothing is silent: what gives no message is counted by its reason, and a wrong format is named."""

import json
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from consumers.formats.base import FormatContext, IgnoredReason, read_value
from consumers.formats.decode import BadInput
from consumers.formats.ignored import WARN_SECONDS, IgnoredRecords
from consumers.formats.readers import NormalReader, make_reader
from consumers.formats.registry import FORMATS
from tests.consumers.formats.runs import Run, fixture

AZURE = {"RecognitionStatus": "Success", "Offset": 0, "Duration": 9, "DisplayText": "hi"}
DELETED = {"type": "message", "channel": "C", "subtype": "message_deleted", "deleted_ts": "1"}
REASONS: list[tuple[str, Any, str]] = [
    ("deepgram", {"type": "KeepAlive"}, "keep_alive"),
    ("deepgram", {"type": "Metadata", "request_id": "x"}, "metadata"),
    ("deepgram", {"type": "Results", "channel": {"alternatives": [{"transcript": ""}]}}, "no_text"),
    ("deepgram", {"type": "Surprise"}, "other_event"),
    ("deepgram", {"kind": "Results"}, "unknown_shape"),
    ("deepgram-flux", {"type": "Connected"}, "metadata"),
    ("deepgram-flux", {"type": "TurnInfo", "event": "Surprise"}, "other_event"),
    ("aws-transcribe", {"Transcript": {"Results": []}}, "no_text"),
    ("aws-transcribe", {"Utterance": {}}, "unknown_shape"),
    ("assemblyai", {"type": "Begin", "id": "x"}, "metadata"),
    ("assemblyai", {"type": "LLMGatewayResponse"}, "other_event"),
    ("google", {"results": [], "speechEventType": "SPEECH_ACTIVITY_BEGIN"}, "metadata"),
    ("google", {"error": {"code": 11}}, "error"),
    ("deepgram", {"type": "Error", "description": "x"}, "error"),
    ("deepgram-flux", {"type": "FatalError", "code": "x"}, "error"),
    ("assemblyai", {"type": "Error", "error": "x"}, "error"),
    ("openai-realtime", {"type": "error", "error": {"code": "x"}}, "error"),
    ("google", {"hello": 1}, "unknown_shape"),
    ("azure", {"Offset": 1, "Duration": 2}, "metadata"),
    ("azure", {"RecognitionStatus": "NoMatch", "Offset": 1, "Duration": 2}, "no_text"),
    ("azure", {"type": "hello"}, "unknown_shape"),
    ("openai-realtime", {"type": "session.created"}, "metadata"),
    ("openai-realtime", {"type": "response.audio.delta"}, "other_event"),
    ("openai-realtime", {"type": "conversation.item.deleted", "item_id": "x"}, "nothing_to_delete"),
    ("vosk", {"partial": ""}, "no_text"),
    ("vosk", {"hello": 1}, "unknown_shape"),
    ("watson", {"state": "listening"}, "metadata"),
    ("watson", {"error": "timed out"}, "error"),
    ("watson", {"hello": 1}, "unknown_shape"),
    ("whisperlive", {"uid": "x", "message": "SERVER_READY"}, "metadata"),
    ("whisperlive", {"uid": "x", "segments": []}, "no_text"),
    ("whisperlive", {"uid": "x", "translated_segments": []}, "other_event"),
    ("whisperlive", {"uid": "x"}, "unknown_shape"),
    ("slack", {"type": "event_callback", "event": {"type": "reaction_added"}}, "other_event"),
    ("slack", {"type": "hello"}, "metadata"),
    ("slack", {"type": "message", "channel": "C", "subtype": "channel_join", "ts": "1.5"}, "other_event"),
    (
        "slack",
        {"type": "message", "channel": "C", "subtype": "message_deleted", "deleted_ts": "1"},
        "nothing_to_delete",
    ),
    ("slack", {"type": "message", "channel": "C", "text": "", "ts": "1.5"}, "no_text"),
    ("slack", {"hello": 1}, "unknown_shape"),
    ("discord", {"op": 11, "t": None, "d": None}, "keep_alive"),
    ("discord", {"op": 0, "t": "READY", "d": {}}, "metadata"),
    ("discord", {"op": 0, "t": "TYPING_START", "d": {}}, "other_event"),
    ("discord", {"id": "1", "channel_id": "5"}, "nothing_to_delete"),
    ("discord", {"hello": 1}, "unknown_shape"),
    ("twitch", {"metadata": {"message_type": "session_keepalive"}, "payload": {}}, "keep_alive"),
    ("twitch", {"metadata": {"message_type": "session_welcome"}, "payload": {}}, "metadata"),
    ("twitch", {"subscription": {"type": "channel.follow"}, "event": {"broadcaster_user_id": "1"}}, "other_event"),
    ("twitch", {"hello": 1}, "unknown_shape"),
    ("youtube", {"id": "1", "snippet": {"type": "newSponsorEvent", "liveChatId": "c"}}, "other_event"),
    ("soniox", {"tokens": [], "total_audio_proc_ms": 10}, "keep_alive"),
    ("soniox", {"tokens": [], "finished": True}, "metadata"),
    ("soniox", {"tokens": [{"text": "wir", "translation_status": "translation"}]}, "other_event"),
    ("soniox", {"tokens": [], "error_code": 400, "error_message": "x"}, "error"),
    ("soniox", {"type": "keepalive"}, "keep_alive"),
    ("soniox", {"hello": 1}, "unknown_shape"),
    ("speechmatics", {"message": "AudioAdded", "seq_no": 1}, "keep_alive"),
    ("speechmatics", {"message": "EndOfUtterance", "metadata": {}}, "metadata"),
    ("speechmatics", {"message": "Error", "type": "x", "reason": "y"}, "error"),
    ("speechmatics", {"message": "AddTranslation"}, "other_event"),
    ("speechmatics", {"message": "AddTranscript", "metadata": {"transcript": ""}}, "no_text"),
    ("speechmatics", {"hello": 1}, "unknown_shape"),
    ("gladia", {"type": "audio_chunk", "session_id": "g", "acknowledged": True}, "keep_alive"),
    ("gladia", {"type": "transcript", "session_id": "g", "data": None, "error": {"message": "x"}}, "error"),
    ("gladia", {"type": "transcript", "session_id": "g", "data": None}, "unknown_shape"),
    ("gladia", {"type": "post_final_transcript", "session_id": "g", "data": {}}, "other_event"),
    ("elevenlabs", {"message_type": "auth_error", "error": "x"}, "error"),
    ("elevenlabs", {"message_type": "warning", "warning": "x"}, "metadata"),
    ("elevenlabs", {"message_type": "redacted_transcript", "text": "x", "redacted_text": "y"}, "other_event"),
    ("elevenlabs", {"message_type": "committed_transcript", "text": ""}, "no_text"),
    ("elevenlabs", {"hello": 1}, "unknown_shape"),
    ("cartesia", {"type": "error", "request_id": "c", "title": "x"}, "error"),
    ("cartesia", {"type": "turn.start", "request_id": "c"}, "metadata"),
    ("cartesia", {"type": "surprise", "request_id": "c"}, "other_event"),
    ("cartesia", {"hello": 1}, "unknown_shape"),
    ("recall", {"event": "bot.fatal", "data": {}}, "error"),
    ("recall", {"event": "participant_events.join", "data": {"data": "x"}}, "metadata"),
    ("recall", {"event": "transcript.provider_data", "data": {}}, "other_event"),
    ("recall", {"event": "transcript.data", "data": {"data": {"words": []}}}, "no_text"),
    ("recall", {"hello": 1}, "unknown_shape"),
    ("rev", {"type": "connected", "id": "v"}, "metadata"),
    ("rev", {"type": "final", "elements": []}, "no_text"),
    ("rev", {"type": "error"}, "error"),
    ("rev", {"hello": 1}, "unknown_shape"),
    ("zoom", {"msg_type": 12, "timestamp": 1}, "keep_alive"),
    ("zoom", {"msg_type": 4, "status_code": 3}, "error"),
    ("zoom", {"msg_type": 4, "status_code": 0}, "metadata"),
    ("zoom", {"msg_type": 14, "content": {"data": "UklGRg=="}}, "other_event"),
    ("zoom", {"hello": 1}, "unknown_shape"),
    ("twilio", {"TranscriptionEvent": "transcription-started", "CallSid": "C"}, "metadata"),
    ("twilio", {"TranscriptionEvent": "transcription-error", "TranscriptionErrorCode": "1"}, "error"),
    ("twilio", {"TranscriptionEvent": "surprise"}, "other_event"),
    ("twilio", {"TranscriptionEvent": "transcription-content"}, "unknown_shape"),
    ("twilio", {"event": "media", "media": {}}, "other_event"),
    ("aws-transcribe", {"BadRequestException": {"Message": "x"}}, "error"),
    ("aws-transcribe", {"__type": "LimitExceededException", "message": "x"}, "error"),
    ("assemblyai", {"error": "Not authorized"}, "error"),
    ("deepgram", {"err_code": "INVALID_AUTH", "err_msg": "x"}, "error"),
    ("vosk", {"error": "x"}, "error"),
    ("vosk", {"error": None}, "unknown_shape"),
    ("slack", {"ok": False, "error": "ratelimited"}, "error"),
    ("twitch", {"error": "Unauthorized", "status": 401}, "error"),
    ("youtube", {"error": {"code": 403}}, "error"),
    ("whisperlive", {"uid": "x", "status": "ERROR", "message": "x"}, "error"),
    ("azure", {"RecognitionStatus": "Error", "Offset": 9}, "error"),
    ("azure", {"ResultId": "x", "Reason": "Canceled", "ErrorDetails": "x"}, "error"),
    ("azure", {"resultId": "x", "reason": 1, "text": None}, "metadata"),
    (
        "openai-realtime",
        {"type": "conversation.item.input_audio_transcription.failed", "item_id": "x", "error": {"type": "x"}},
        "error",
    ),
    ("discord", {"op": 0, "t": "MESSAGE_CREATE", "d": None}, "unknown_shape"),
    ("youtube", {"items": []}, "no_text"),
    ("youtube", {"hello": 1}, "unknown_shape"),
]


@pytest.mark.parametrize(("name", "value", "reason"), REASONS)
def test_what_gives_no_message_has_its_reason(name: str, value: Any, reason: IgnoredReason) -> None:
    reading = read_value(FORMATS[name], json.dumps(value).encode(), FormatContext("s", 7, lambda _: {}))
    assert (reading.messages, reading.ignored) == ([], reason)


def test_the_reasons_are_those_of_the_vocabulary() -> None:
    assert {x for _, _, x in REASONS} < set(get_args(IgnoredReason))


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_of_a_fixture_gives_a_message_or_is_counted(name: str) -> None:
    run = Run(name, None if FORMATS[name].chat or name == "normal" else "call-1")
    ignored = IgnoredRecords(warn=False)
    reader = make_reader(name, run.engine.intake.segments, "file", ignored)
    silent = 0
    for offset, value in enumerate(fixture(name)):
        messages = reader.read(value, None, offset)
        silent += not messages
        for message in messages:
            run.engine.submit(message, offset)
    errors = ignored.counts[name, "error"]  # may end a segment, and are counted nevertheless
    assert silent <= ignored.total <= silent + errors
    assert not [reason for _, reason in ignored.counts if reason == "unknown_shape"]


def test_late_and_repeated_results_are_counted_so() -> None:
    final = {"text": "we met", "result": [{"word": w, "start": 0.5, "end": 1.0} for w in ("we", "met")]}
    late = {"partial": "we", "partial_result": final["result"][:1]}
    run, ignored = Run("vosk"), IgnoredRecords(warn=False)
    reader = make_reader("vosk", run.engine.intake.segments, "call-1", ignored)
    for offset, value in enumerate((final, final, late)):
        for message in reader.read(json.dumps(value).encode(), None, offset):
            run.engine.submit(message, offset)
    assert ignored.counts == {("vosk", "repeat"): 1, ("vosk", "late"): 1}


def test_warnings_are_few_and_have_no_text() -> None:
    now = [0.0]
    ignored = IgnoredRecords(clock=lambda: now[0])
    with capture_logs() as logs:
        for offset in range(500):
            ignored.add("vosk", "unknown_shape", offset)
            ignored.add("vosk", "keep_alive", offset)
        now[0] = WARN_SECONDS
        ignored.add("vosk", "unknown_shape", 500)
    assert [(x["log_level"], x["reason"], x["count"], x["offset"]) for x in logs] == [
        ("warning", "unknown_shape", 1, 0),
        ("info", "keep_alive", 1, 0),
        ("warning", "unknown_shape", 501, 500),
    ]
    assert ignored.describe() == "501 unknown_shape (first: line 1), 500 keep_alive (first: line 1)"


@pytest.mark.parametrize("read_as", FORMATS)
def test_a_wrong_format_is_named(read_as: str) -> None:
    """Not one message of another format is read, and errors name the right one."""
    for name in FORMATS:
        reader = make_reader(read_as, lambda _: {}, "call-1")
        errors, messages = [], 0
        for offset, value in enumerate(fixture(name)):
            try:
                messages += len(reader.read(value, None, offset))
            except BadInput as bad:
                errors.append(bad)
        named = [x.detail for x in errors if x.reason == "other_format"]
        if name == read_as:
            assert not named
            continue
        assert named, name
        assert all(f"looks like {name} and is read as {read_as}: name it with --format {name}" in x for x in named)
        assert messages <= (3 if name == "vosk" else 1), f"{name}: what could be any program's"


def test_the_right_format_is_not_doubted_once_it_was_seen() -> None:
    reader = make_reader("vosk", lambda _: {}, "s")
    assert reader.read(b'{"partial": "hi"}', None, 0)
    with pytest.raises(BadInput, match="azure"):
        reader.read(json.dumps(AZURE).encode(), None, 1)
    assert reader.read(json.dumps({"text": "hi"} | AZURE).encode(), None, 2)


def test_a_wrong_format_is_named_for_the_normal_form_too() -> None:
    with pytest.raises(BadInput, match=r"this looks like azure and is read as normal: name it with --format azure"):
        NormalReader().read(json.dumps(AZURE).encode(), None, 0)


def test_result_objects_of_azures_sdks_are_read() -> None:
    service = {"RecognitionStatus": "Success", "Offset": 5000000, "Duration": 10000000, "DisplayText": "we met"}
    javascript = {"privResultId": "x", "privReason": 3, "privText": "we met", "privJson": json.dumps(service)}
    dotnet = {"ResultId": "x", "Reason": 3, "Text": "we met", "Duration": "00:00:01", "OffsetInTicks": 5000000}
    interim = dotnet | {"Reason": 2}
    found = [
        read_value(FORMATS["azure"], json.dumps(x).encode(), FormatContext("s", 7, lambda _: {})).messages
        for x in (service, javascript, dotnet, interim)
    ]
    assert found[0] == found[1] == found[2]
    assert [(x.text, x.final, x.time) for x in (found[0][0], found[3][0])] == [
        ("we met", True, 1.5),
        ("we met", False, 1.5),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aws-transcribe", {"Transcript": {"Results": [{"StartTime": 1}] * 300}}),
        ("whisperlive", {"uid": "x", "segments": [{"text": "a"}] * 300}),
    ],
)
def test_more_results_than_any_vendor_sends_are_refused(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match="300 results in one message; at most 256 are read"):
        read_value(FORMATS[name], json.dumps(value).encode(), FormatContext("s", 7, lambda _: {}))
