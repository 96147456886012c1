"""What a source can do wrong. An InputError names one message as bad and leaves everything else as it was."""

from typing import Literal

Reason = Literal[
    "bad_id",
    "bad_text",
    "bad_time",
    "text_too_long",
    "too_many_segments",
    "unknown_session",
    "unknown_segment",
    "words_mismatch",
]


class InputError(ValueError):
    """A message that cannot be applied; nothing was changed by it.

    Attributes:
        reason: a short, stable code, fit for a counter's label and a dead letter's header.
        detail: one line for a person.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
