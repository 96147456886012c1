"""Numbers over several segments: the rest of it, the read-back, and one that was asked for and is unfinished."""

from stream.redaction.policy import RedactionPolicy
from stream.redaction.rule_covers import make_detector
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction


class Talk:
    """Segments of one session in which rules alone find numbers."""

    def __init__(self) -> None:
        self.detect = make_detector()
        self.before: list[str] = []
        self.session = SessionRedaction(RedactionPolicy(labels=frozenset({"phone", "card"})), "s")

    def say(self, speaker: str, *texts: str) -> str:
        """The closed form of a segment; every update but the last is open, and all but its last word is settled."""
        segment = SegmentRedaction()
        for i, text in enumerate(texts):
            found = self.detect(text, "\n".join(self.before))
            settled = min(found.settled, max(0, text.rfind(" ")))
            final = i == len(texts) - 1
            self.session.redact_segment(segment, text, found.covers, settled, final=final, speaker=speaker)
            assert not any(x.isdigit() for x in segment.released.text) or i == len(texts) - 1
        self.before.append(texts[-1])
        return segment.released.text


def test_a_number_goes_on_in_the_next_segment_of_its_speaker_and_in_the_read_back():
    talk = Talk()
    assert talk.say("a", "you can call me on two", "You can call me on 202.") == "you can call me on [PHONE]."
    assert talk.say("b", "uh-huh") == "uh-huh"
    assert talk.say("a", "nine one", "nine one seven three", "9173") == "[PHONE]"
    assert talk.say("b", "that was two oh two", "That was 202-9173, yes?") == "that was [PHONE], yes?"
    assert talk.say("a", "right, at gate five", "Right, at gate 515.") == "right, at gate 515."


def test_part_of_a_read_back_is_the_number_too():
    talk = Talk()
    talk.say("a", "my number is 202 555 0143")
    assert talk.say("b", "two oh two") == "[PHONE]"
    assert talk.say("b", "five five") == "[PHONE]"


def test_two_digits_that_were_asked_for_are_covered_in_the_read_back_too():
    talk = Talk()
    talk.say("a", "and the extension?")
    assert talk.say("b", "oh seven") == "[PHONE]"
    assert talk.say("a", "so zero seven, got it") == "so [PHONE], got it"
    assert talk.say("a", "17 people wait") == "17 people wait"


def test_a_run_that_was_asked_for_and_is_unfinished_is_covered_by_what_was_asked():
    assert Talk().say("a", "the card is four one one") == "the card is [CARD]"
    assert Talk().say("a", "my mobile number is oh seven nine") == "my mobile number is [PHONE]"


def test_other_numbers_are_no_numbers_of_anybody():
    for text in ("we leave at six", "there were two or three", "room two one two", "in 1984 they met"):
        assert Talk().say("a", text) == text


def test_numbers_end_with_the_turn_of_their_speaker():
    talk = Talk()
    talk.say("a", "call me on 202")
    talk.say("a", "thank you")
    assert talk.say("a", "40 people came") == "40 people came"
