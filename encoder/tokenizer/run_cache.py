"""Cache of the tokens of common runs: most of what is said has been said before."""

from encoder.tokenizer.base import SubwordModel, Tokens
from encoder.tokenizer.disguises import is_plain_alone

_CAPACITY = 1 << 15
"""Runs in the cache; when it is full it is emptied, which costs less than tracking which run was used last."""
_LONGEST_RUN = 40
"""Characters of the longest run that is cached."""
_LONGEST_TEXT = 120
"""Characters of the longest text that is looked up run by run; a longer one is quicker to split whole."""


class RunCache:
    """Splits texts like a subword model, run by run.

    A run is the text between two spaces. A space is a boundary (`SubwordModel.is_boundary`), so a run's tokens depend
    on nothing else.

    Args:
        model: splits runs that are not in the cache.
        capacity: runs in the cache.
    """

    def __init__(self, model: SubwordModel, capacity: int = _CAPACITY) -> None:
        self._model = model
        self._capacity = capacity
        self._known: dict[str, Tokens] = {}
        self._appended: dict[str, Tokens] = {}

    def split(self, text: str) -> Tokens:
        """Split a text that begins after a boundary, like `SubwordModel.split`."""
        if len(text) > _LONGEST_TEXT:
            return self._model.split(text)
        ids: list[int] = []
        bounds, starts, ends, at = [0], list[int](), list[int](), 0
        for run in text.split(" "):
            if run:
                known = self._known.get(run) or self._split_run(run)
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

    def split_appended(self, more: str) -> Tokens | None:
        """Split what comes behind a plain text: a space and a run that is plain whatever that text is.

        None if it is anything else: then it has to be cleaned together with the text before it.
        """
        known = self._appended.get(more)
        if known is None:
            run = more[1:]
            one = 0 < len(run) <= _LONGEST_RUN and more[0] == " " and " " not in run
            if not (one and run.isascii() and run.isprintable() and is_plain_alone(run)):
                return None
            if len(self._appended) >= self._capacity:
                self._appended.clear()
            known = self._appended[more] = self.split(more)
        return known

    def _split_run(self, run: str) -> Tokens:
        tokens = self._model.split(run)
        if len(run) <= _LONGEST_RUN:
            if len(self._known) >= self._capacity:
                self._known.clear()
            self._known[run] = tokens
        return tokens
