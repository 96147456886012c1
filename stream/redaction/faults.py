"""Errors without what they say: messages of exceptions may quote the text on which the labelling failed."""

import traceback


class HiddenError(Exception):
    """An error whose own message is hidden: its type and the lines of code that it came through."""


def hide_error(error: BaseException) -> HiddenError:
    """Return an error that says where another one happened, and nothing of its text."""
    places = [f"{x.filename}:{x.lineno}" for x in traceback.extract_tb(error.__traceback__)]
    hidden = HiddenError(f"{type(error).__name__} at {', '.join(places) or 'an unknown place'}")
    return hidden.with_traceback(error.__traceback__)
