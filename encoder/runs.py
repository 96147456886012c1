"""Texts cut run by run, with a memory for common runs: most of what is said has been said before."""

from encoder.pieces import Kind, Pieces

_MOST = 1 << 15
"""Runs remembered; when they are so many all are forgotten, which costs less than knowing which was used last."""
_LONGEST = 40
"""Characters of a run that is remembered."""
_SHORT = 120
"""Characters of a text that is looked up run by run; a longer one is cut whole, which is then quicker."""


class Runs:
    """Cuts texts as a kind of tokenizer does.

    A run is what lies between two walls (`Kind.run`), so what it is cut into depends on nothing else.
    """

    def __init__(self, kind: Kind, most: int = _MOST) -> None:
        self._kind = kind
        self._most = most
        self._find = kind.run.finditer
        self._known: dict[str, Pieces] = {}

    def cut(self, text: str) -> Pieces:
        """Give what `Kind.cut` gives for a text that begins behind a wall."""
        if len(text) > _SHORT:
            return self._kind.cut(text)
        ids: list[int] = []
        bounds, starts, ends = [0], list[int](), list[int]()
        for found in self._find(text):
            run, at = found[0], found.start()
            known = self._known.get(run) or self._learn(run)
            bounds += [len(ids) + bound for bound in known.bounds[1:]]
            ids += known.ids
            starts += [at + start for start in known.starts]
            ends += [at + end for end in known.ends]
        return Pieces(ids, bounds, starts, ends)

    def _learn(self, run: str) -> Pieces:
        pieces = self._kind.cut(run)
        if len(run) <= _LONGEST:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[run] = pieces
        return pieces
