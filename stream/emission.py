"""What is shown of what was found: the place where spans may be held back until they are calm."""

from collections.abc import Sequence
from typing import Protocol

from stream.diff import Found
from stream.messages import Span


class EmissionPolicy(Protocol):
    """Decides which of the spans found the readers see; what it holds back does not exist for them."""

    def show(self, found: Sequence[Found], shown: Sequence[Span], final: bool) -> Sequence[Found]:
        """The spans to show, of those found, in order; `shown` stand already. A final segment shows all of them."""
        ...


class ShowAll:
    """Every change is published when it happens."""

    def show(self, found: Sequence[Found], shown: Sequence[Span], final: bool) -> Sequence[Found]:
        """All of them."""
        return found
