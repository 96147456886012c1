"""A server with a live page on a socket of its own, and what tests let it hear and publish."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec

from consumers.http.app import build_app
from consumers.http.live.model import LiveModel
from consumers.http.server import bind_socket, serve_http
from stream.messages.types import Changed, Retracted, Revision, Span, Update, Was
from tests.consumers.http.sites import make_context

TAGGERS = ("ner", "claims")


@asynccontextmanager
async def page_site(live: LiveModel, port: int = 0, token: str | None = None) -> AsyncIterator[str]:
    """Serve the page of `live`; gives its address."""
    context = make_context(live=live, token=token)
    taken = bind_socket(replace(context.settings, port=port))
    assert taken is not None
    async with serve_http(build_app(context), taken, context.settings) as address:
        yield address


class Stage:
    """Speaks into a `LiveModel` as a service would, by words and not by numbers."""

    def __init__(self, live: LiveModel, session: str = "call-17") -> None:
        self.live = live
        self.session = session
        self.texts: dict[str, str] = {}
        self.spans: dict[tuple[str, str], dict[str, Span]] = {}
        """By tagger and segment, by the words that they are on."""
        self.rev = 0
        self.ids = 0

    def say(self, text: str, segment: str = "u1", **fields: Any) -> None:
        self.texts[segment] = text
        self.live.show_message(Update(session=self.session, segment=segment, text=text, **fields))

    def label(
        self,
        found: dict[str, str],
        segment: str = "u1",
        tagger: str = "ner",
        final: bool = False,
        scores: dict[str, float] | None = None,
        **fields: Any,
    ) -> Revision:
        """Publish that these words of the segment have these labels, and no others; says what that changes."""
        text, before = self.texts[segment], self.spans.get((tagger, segment), {})
        spans, added, changed = {}, [], []
        for words, label in found.items():
            old = before.pop(words, None)
            old = old or next((x for x in before.values() if x.label == label and x.text in words), None)
            if old is not None and old.label == label:
                before.pop(old.text, None)
                number = old.id
            else:
                if old is not None:
                    before[words] = old
                self.ids += 1
                number = self.ids
                added.append(number)
            start = text.index(words)
            spans[words] = Span(
                id=number,
                start=start,
                end=start + len(words),
                label=label,
                text=words,
                **({"stability": 1.0 if final else 0.5} | fields),
            )
            if number not in added and old is not None and (old.start, old.text) != (start, words):
                changed.append(
                    Changed(id=number, was=Was(start=old.start, end=old.end, label=old.label), cause="model")
                )
        retracted = tuple(
            Retracted(id=x.id, start=x.start, end=x.end, label=x.label, text=x.text, cause="model")
            for x in before.values()
        )
        self.spans[tagger, segment] = spans
        self.rev += 1
        revision = Revision(
            tagger=tagger,
            session=self.session,
            segment=segment,
            rev=self.rev,
            offset=self.rev,
            final=final,
            spans=tuple(sorted(spans.values(), key=lambda x: x.start)),
            added=tuple(added),
            changed=tuple(changed),
            retracted=retracted,
            scores=scores or msgspec.UNSET,
        )
        self.live.show_revision(revision)
        return revision
