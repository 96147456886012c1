"""POST /v1/ticket: exchanges the token for a ticket, with which one WebSocket can be opened within half a minute.

Browsers cannot set headers of a WebSocket, and the cookie does not count for pages of other sites. Such a page, or
better the server behind it, asks for a ticket with the token, and opens the WebSocket with `?ticket=`. An address with
a ticket may end up in logs: the ticket is worthless by then. It is signed, so every instance with the same token takes
it; each of them takes it once.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

TICKET_SECONDS = 30


class TicketResponse(msgspec.Struct):
    """Response body: a ticket for `?ticket=` of one WebSocket, and the seconds for which it is valid."""

    ticket: str
    seconds: int = TICKET_SECONDS


class Tickets:
    """Makes tickets and redeems each one once.

    Args:
        tokens: sign the tickets; without any, tickets are valid in this process only.
        clock: seconds since 1970.
    """

    def __init__(self, tokens: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._keys = [token.encode() for token in tokens] or [secrets.token_bytes(32)]
        self._clock = clock
        self._used: dict[str, int] = {}
        """Redeemed tickets that have not expired, with the time of their expiry."""

    def make(self, number: int = 0) -> TicketResponse:
        """Make a ticket that is worth what the token of this number is."""
        signed = f"{int(self._clock()) + TICKET_SECONDS}.{secrets.token_urlsafe(16)}"
        return TicketResponse(f"{signed}.{_sign_ticket(signed, self._keys[number])}")

    def redeem(self, ticket: str) -> int | None:
        """Return the number of the token that signed a ticket; None if it is not valid, expired or used."""
        signed, _, signature = ticket.rpartition(".")
        until = signed.partition(".")[0]
        now = self._clock()
        if not (until.isascii() and until.isdigit()) or len(until) > 12 or not now <= int(until) <= now + 3600:
            return None
        shown = signature.encode("utf-8", "replace")
        signers = [hmac.compare_digest(shown, _sign_ticket(signed, key).encode()) for key in self._keys]
        if True not in signers:
            return None
        while self._used and next(iter(self._used.values())) < now:
            del self._used[next(iter(self._used))]
        if signed in self._used:
            return None
        self._used[signed] = int(until)
        return signers.index(True)


def _sign_ticket(signed: str, key: bytes) -> str:
    return hmac.new(key, b"hearken ticket " + signed.encode("utf-8", "replace"), "sha256").hexdigest()


def ticket_routes(tickets: Tickets, number_of: Callable[[Request], int | None]) -> list[BaseRoute]:
    """Return the route of `/v1/ticket`; `number_of` returns the number of the token that a request showed."""

    async def give(request: Request) -> Response:
        body = msgspec.json.encode(tickets.make(number_of(request) or 0))
        return Response(body, media_type="application/json")

    return [Route("/v1/ticket", give, methods=["POST"])]
