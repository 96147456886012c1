"""Errors of input messages: the reason codes, and the exception that refuses one message without changing anything."""

from typing import Literal

Reason = Literal[
    "bad_id",
    "bad_text",
    "bad_time",
    "text_too_long",
    "unknown_session",
    "unknown_segment",
    "words_mismatch",
]


class InputError(ValueError):
    """A message that cannot be applied; the session is unchanged.

    Attributes:
        reason: a short, stable code, used as a metric label and in the header of a dead letter.
        detail: one line that explains the error to a person.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
