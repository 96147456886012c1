"""Texts cut run by run, with a memory for common runs: most of what is said has been said before."""

from encoder.tokenizer.base import SubwordModel, Tokens

_CAPACITY = 1 << 15
"""Runs remembered; when they are so many all are forgotten, which costs less than knowing which was used last."""
_LONGEST_RUN = 40
"""Characters of a run that is remembered."""
_LONGEST_TEXT = 120
"""Characters of a text that is looked up run by run; a longer one is cut whole, which is then quicker."""


class RunCache:
    """Cuts texts as a kind of tokenizer does.

    A run is what lies between two spaces. A space is a wall (`SubwordModel.is_wall`), so what a run is cut into depends
    on nothing else.

    Args:
        kind: what cuts.
        most: how many runs are remembered.
    """

    def __init__(self, kind: SubwordModel, most: int = _CAPACITY) -> None:
        self._kind = kind
        self._most = most
        self._known: dict[str, Tokens] = {}

    def cut(self, text: str) -> Tokens:
        """Give what `SubwordModel.cut` gives for a text that begins behind a wall."""
        if len(text) > _LONGEST_TEXT:
            return self._kind.cut(text)
        ids: list[int] = []
        bounds, starts, ends, at = [0], list[int](), list[int](), 0
        for run in text.split(" "):
            if run:
                known = self._known.get(run) or self._learn(run)
                count = len(ids)
                ids += known.ids
                if len(known.starts) == 1:  # nearly always
                    bounds.append(len(ids))
                    starts.append(at + known.starts[0])
                    ends.append(at + known.ends[0])
                else:
                    bounds += [count + bound for bound in known.bounds[1:]]
                    starts += [at + start for start in known.starts]
                    ends += [at + end for end in known.ends]
            at += len(run) + 1
        return Tokens(ids, bounds, starts, ends)

    def _learn(self, run: str) -> Tokens:
        pieces = self._kind.cut(run)
        if len(run) <= _LONGEST_RUN:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[run] = pieces
        return pieces
