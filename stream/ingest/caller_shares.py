"""Shares of callers: work that waits is shared out between callers, not between messages."""

from collections.abc import Iterable

from stream.messages.caller_id import CallerId


class CallerShares:
    """What each caller was given while others waited: the one that was given least is next.

    A caller that begins to wait starts with the least that any other has, so that nobody can save up.
    """

    def __init__(self) -> None:
        self._groups: dict[str, float] = {}
        self._members: dict[str, dict[str, float]] = {}

    def group(self, name: str) -> float:
        """What a group was given."""
        return self._groups[name]

    def member(self, caller: CallerId) -> float:
        """What a member was given."""
        return self._members[caller.group][caller.member]

    def charge(self, caller: CallerId, cost: float) -> None:
        """Count what a caller was given."""
        self._groups[caller.group] += cost
        self._members[caller.group][caller.member] += cost

    def update(self, waiting: Iterable[CallerId]) -> None:
        """Add the callers that began to wait, and forget those that do not wait any more."""
        groups: dict[str, set[str]] = {}
        for caller in waiting:
            groups.setdefault(caller.group, set()).add(caller.member)
        self._groups = _update(self._groups, groups)
        self._members = {group: _update(self._members.get(group, {}), of_group) for group, of_group in groups.items()}


def _update(known: dict[str, float], waiting: Iterable[str]) -> dict[str, float]:
    least = min((known[name] for name in waiting if name in known), default=0.0)
    return {name: known.get(name, least) for name in waiting}
