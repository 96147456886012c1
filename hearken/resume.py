"""One stream of messages over several connections: what is sent again after a break, and what the answers mean then.

`/v1/stream` knows sessions for as long as a connection lasts, and numbers frames, revisions and spans within it. A
`ResumableStream` stands between a client and its connections. It does no input and output, so it is the same for both
clients, and is tested alone. For the client there is one stream; when a connection breaks,

- open segments are sent again as they stand, before them closed ones that are their context or were not answered;
- revisions that say nothing new are dropped, others are compared with what was told of their segment: spans of one
  label that overlap keep their id, and the lists name what changed for the reader;
- `rev` and `offset` go on: each tagger's `rev` rises by one, and `offset` is the number of the client's message;
- settled text stays settled while its source does not rewrite it;
- deletes that were not answered, or that the new connection knows nothing of, are answered here.

A session that began again before its end was answered is resumed from its new beginning.
"""

from bisect import bisect_right
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from hearken.continuation import follow, follow_delete, match_spans
from hearken.messages import (
    Delete,
    End,
    Message,
    RedactedDelete,
    RedactedMessage,
    RedactedUpdate,
    Revision,
    ServerError,
    Update,
)
from hearken.state import LiveState, apply

CONTEXT_WORDS = 128
"""Words of closed segments that are sent again as context: as many as the encoder sees."""
MAX_CLOSED = 64
"""Closed segments of a session that can be edited, as on the server; for redaction all of them are sent again, so that
values get the same numbers.
"""
END_FRAME = b'{"type":"end"}'
Key = tuple[str, str]
"""Session and segment."""
Answer = Revision | RedactedMessage


class ResumableStream:
    """Messages of a client, and the connections that carry them.

    Args:
        redacted: whether the connections give the redacted stream.
    """

    def __init__(self, redacted: bool = False) -> None:
        self.state = LiveState()
        """What the messages and their answers add up to."""
        self.finished = False
        """Whether the client has ended the stream."""
        self._redacted = redacted
        self.sent = 0
        """Messages so far."""
        self._latest: dict[Key, tuple[int, Update]] = {}
        """The newest update of a segment, with its number; its text is all of the segment's."""
        self._closed: dict[Key, int] = {}
        """Numbers of the messages that closed segments; those that edit them later do not count."""
        self._told: dict[Key, dict[str, Revision]] = {}
        """The newest revision of each segment by tagger, as it was given to the client."""
        self._above: dict[tuple[Key, str], frozenset[str]] = {}
        """By segment and tagger: text scores that the client takes to be above their thresholds."""
        self._released: dict[Key, RedactedUpdate] = {}
        self._newest: Key | None = None
        """The segment of the newest answer: other taggers, which nobody has heard of yet, may have one, too."""
        self._deleting: dict[Key, int] = {}
        """Deletes that are not answered, with their numbers."""
        self._next_ids: dict[tuple[str, str], int] = {}
        """By session and tagger: the first span id that was not used."""
        self._begin_connection()

    def _begin_connection(self) -> None:
        self._known: set[Key] = set()
        """Segments that this connection's server knows."""
        self._frames = 0
        self._numbers: list[tuple[int, int]] = []
        """Frames and the numbers of their messages, where these do not go on as before."""
        self._ids: dict[tuple[str, str], dict[int, int]] = {x: {} for x in self._next_ids}
        """By session and tagger: the client's id of each span id; those that are missing have the same ids."""
        self._stale = {(key, tagger) for key, told in self._told.items() for tagger in told}
        """Segments and taggers of which this connection has said nothing yet."""
        self._behind = set(self._released)
        """Segments of which it has not released what was released before."""

    def send(self, message: Message) -> bytes | None:
        """Take a message of the client.

        Returns:
            The frame for the connection; None if its server knows nothing of what the message is about. `take_answers`
            has the answers then.

        Raises:
            ValueError: the stream was ended.
        """
        if self.finished:
            raise ValueError("the stream was ended: nothing more can be sent")
        number, begins = self.sent, self.state.session(message.session).ended
        self.state = apply(self.state, message, number)
        self.sent += 1
        if isinstance(message, Update):
            if begins:
                self._forget(
                    [key for key in [*self._latest, *self._told, *self._released] if key[0] == message.session]
                )
            return self._encode(self._update(message, number), number)
        if isinstance(message, Delete):
            key = message.session, message.segment
            self._latest.pop(key, None)
            self._closed.pop(key, None)
            self._deleting[key] = number
            return self._encode(message, number) if key in self._known else None
        return self._encode(message, number) if any(x == message.session for x, _ in self._known) else None

    def finish(self) -> bytes:
        """End all sessions; returns the frame that says so."""
        self.finished = True
        for name, session in self.state.sessions.items():
            if not session.ended:
                self.state = apply(self.state, End(session=name))
        return END_FRAME

    def resume(self) -> list[bytes]:
        """Begin a new connection; returns the frames that it starts with. `take_answers` may have some, too."""
        self._begin_connection()
        again = [x for name in self.state.sessions for x in self._to_send_again(name)]
        frames = []
        for number, update in again:
            self._known.add((update.session, update.segment))
            frames.append(self._encode(update, number))
        ended = dict.fromkeys(x.session for _, x in again if self.state.session(x.session).ended)
        frames += [self._encode(End(session=name), self.sent - 1) for name in ended]
        return [*frames, END_FRAME] if self.finished else frames

    def take_answers(self) -> list[Answer]:
        """Return the answers to deletes that no server will give; called after `send` and after `resume`."""
        answers: list[Answer] = []
        for key, number in [x for x in self._deleting.items() if x[0] not in self._known]:
            del self._deleting[key]
            for answer in self._answer_delete(key, number):
                self._note(answer)
                answers.append(answer)
        return answers

    def receive(self, answer: Answer | ServerError) -> Answer | ServerError | None:
        """Take an answer of the connection's server; returns it in the client's numbers, None if it is no news."""
        if isinstance(answer, ServerError):
            return answer if answer.frame is None else replace(answer, frame=self._number(answer.frame))
        number = self._number(answer.offset)
        if isinstance(answer, Revision):
            self._newest = answer.session, answer.segment
        news: Answer | None
        news = self._rebase(answer, number) if isinstance(answer, Revision) else self._rebase_redacted(answer, number)
        if news is not None:
            self._note(news)
        return news

    def _encode(self, message: Message, number: int) -> bytes:
        if not self._numbers or number - self._frames != self._numbers[-1][1] - self._numbers[-1][0]:
            self._numbers.append((self._frames, number))
        self._frames += 1
        return msgspec.json.encode(message)

    def _number(self, frame: int) -> int:
        """Return the number of the message that a frame of this connection stands for."""
        at = bisect_right(self._numbers, (frame, self.sent)) - 1
        first, number = self._numbers[at] if at >= 0 else (0, 0)
        return number + frame - first

    def _update(self, message: Update, number: int) -> Update:
        """Remember an update, and return it as the connection's server understands it."""
        key = message.session, message.segment
        segment = self.state.segment(*key)
        whole = message if message.mode == "replace" else replace(message, text=segment.text or "", mode="replace")
        whole = replace(whole, final=segment.final, speaker=segment.speaker, channel=segment.channel)
        self._latest[key] = number, whole
        if whole.final:
            self._closed.setdefault(key, number)
        self._deleting.pop(key, None)
        if key in self._known:
            return message
        self._known.add(key)
        return whole

    def _to_send_again(self, session: str) -> Iterator[tuple[int, Update]]:
        """Yield the updates of a session that a new connection needs, with their numbers.

        Those that closed come in the order in which they did, then open ones in the order in which they opened: what
        closes later sees the same context.
        """
        ended = self.state.session(session).ended
        latest = {
            key: (number, replace(x, final=self.state.segment(*key).final))
            for key, (number, x) in self._latest.items()
            if key[0] == session
        }
        answered = {key for key, (number, x) in latest.items() if x.final and self._is_answered(key, number)}
        if ended and len(answered) == len(latest):
            return
        # Those that the end of the session closes do so in the order in which they opened.
        own = [key for key, (_, x) in latest.items() if x.final and (not ended or self._latest[key][1].final)]
        closed = sorted(own, key=lambda key: self._closed.get(key, latest[key][0]))
        words, kept = 0, set()
        for count, key in enumerate(reversed(closed)):
            words += len(latest[key][1].text.split())
            if key not in answered or (count < MAX_CLOSED if self._redacted else words <= CONTEXT_WORDS):
                kept.add(key)
        yield from (latest[key] for key in closed if key in kept)
        yield from (numbered for key, numbered in latest.items() if key not in own)

    def _is_answered(self, key: Key, number: int) -> bool:
        """Whether all taggers have told the final labels of a segment, or all of its text was released."""
        if self._redacted:
            released = self._released.get(key)
            return released is not None and released.final and released.offset >= number
        told = self._told.get(key, {})
        return (
            bool(told)
            and key != self._newest
            and all(x in told and told[x].final and told[x].offset >= number for x in {x for _, x in self._next_ids})
        )

    def _answer_delete(self, key: Key, number: int) -> Iterator[Answer]:
        session = self.state.session(key[0])
        if self._redacted:
            if self._released.pop(key, None) is not None:
                yield RedactedDelete(session=key[0], segment=key[1], rev=session.redacted_rev + 1, offset=number)
            return
        for tagger, told in list(self._told.get(key, {}).items()):
            if told.offset < number:
                above = self._above.get((key, tagger), frozenset())
                yield follow_delete(told, session.revs.get(tagger, 0) + 1, number, above)

    def _note(self, answer: Answer) -> None:
        """Remember an answer that the client is given."""
        self.state = apply(self.state, answer)
        if isinstance(answer, RedactedUpdate):
            self._released[answer.session, answer.segment] = answer
        if not isinstance(answer, Revision):
            return
        key, owner = (answer.session, answer.segment), (answer.session, answer.tagger)
        self._told.setdefault(key, {})[answer.tagger] = answer
        self._above[key, answer.tagger] = self._above.get((key, answer.tagger), frozenset()) ^ set(answer.crossed or ())
        self._next_ids[owner] = max([self._next_ids.get(owner, 0), *(x.id + 1 for x in answer.spans)])
        if key in self._deleting and all(x.offset >= self._deleting[key] for x in self._told[key].values()):
            del self._deleting[key]
        if answer.final:
            self._prune(answer.session)

    def _prune(self, session: str) -> None:
        """Forget the oldest closed segments beyond those that can be edited."""
        closed = [key for key in self._told if key[0] == session and self.state.segment(*key).final]
        self._forget([key for key in closed if key not in self._deleting][: max(0, len(closed) - MAX_CLOSED)])

    def _forget(self, keys: list[Key]) -> None:
        for key in keys:
            self._latest.pop(key, None)
            self._closed.pop(key, None)
            self._released.pop(key, None)
            self._known.discard(key)
            self._deleting.pop(key, None)
            for tagger in self._told.pop(key, {}):
                self._above.pop((key, tagger), None)

    def _rebase(self, revision: Revision, number: int) -> Revision | None:
        """Return a revision of this connection as one that follows what was told; None if it says nothing new."""
        key, tagger = (revision.session, revision.segment), revision.tagger
        rev = self.state.session(revision.session).revs.get(tagger, 0) + 1
        revision = replace(revision, rev=rev, offset=number)
        told = self._told.get(key, {}).get(tagger)
        if told is None or (key, tagger) not in self._stale:
            return self._rename(revision)
        standing = self.state.segment(*key).labels.get(tagger)
        moved = {x.id: x for x in standing.spans} if standing is not None else {}
        ids = self._ids.setdefault((key[0], tagger), {})
        ids |= {new: old.id for new, old in match_spans([*moved.values()], revision.spans).items()}
        revision = replace(revision, settled=max(revision.settled, standing.settled if standing is not None else 0))
        news = follow(self._rename(revision), told, moved, self._above.get((key, tagger), frozenset()))
        is_same = not (news.added or news.changed or news.retracted or news.crossed)
        is_context = told.final and number <= told.offset
        if is_same or not is_context:  # otherwise an edit that follows is compared with what was told
            self._stale.discard((key, tagger))
        return None if is_context or (is_same and news.final == told.final and number <= told.offset) else news

    def _rename(self, revision: Revision) -> Revision:
        """Return a revision with the client's ids of its spans."""
        owner = revision.session, revision.tagger
        ids = self._ids.get(owner)
        if ids is None:
            return revision
        for span in revision.spans:
            if span.id not in ids:
                ids[span.id] = self._next_ids[owner]
                self._next_ids[owner] += 1
        return replace(
            revision,
            spans=tuple(replace(x, id=ids[x.id]) for x in revision.spans),
            added=tuple(ids[x] for x in revision.added),
            changed=tuple(replace(x, id=ids[x.id]) for x in revision.changed),
            retracted=tuple(replace(x, id=ids[x.id]) for x in revision.retracted),
        )

    def _rebase_redacted(self, message: RedactedMessage, number: int) -> RedactedMessage | None:
        message = replace(message, rev=self.state.session(message.session).redacted_rev + 1, offset=number)
        if isinstance(message, RedactedUpdate):
            key = message.session, message.segment
            told = self._released.get(key)
            if told is None:
                return message
            if key in self._behind and not message.final and told.text.startswith(message.text):
                return None  # it releases from the beginning again
            self._behind.discard(key)
            return None if (told.text, told.final) == (message.text, message.final) else message
        if isinstance(message, RedactedDelete):
            self._deleting.pop((message.session, message.segment), None)
            self._released.pop((message.session, message.segment), None)
        return message
