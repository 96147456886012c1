"""What an operator can set, checked once at start. Flags and `HEARKEN_*` variables end here (see cli.py)."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

DEFAULT_TAGGER = "ner"
TAGGER_VARIABLE = "HEARKEN_TAGGER"
TAGGER_HELP = (
    "A shipped tagger's name, a checkpoint's folder, or FOLDER:HEAD; may be repeated."
    f" [env var: {TAGGER_VARIABLE}, parted by commas; default: {DEFAULT_TAGGER}]"
)
DEFAULT_POLICY = "default"
"""What the tagger was calibrated to, else a price, or last:3 without a head
(`encoder.restart.policies.resolve_policy`).
"""
DEFAULT_STABILITY = "low"
DEFAULT_IDLE_SECONDS = 600.0
DEFAULT_REMEMBER_SEGMENTS, CHAT_REMEMBER_SEGMENTS = 64, 1024
"""Closed segments of a session that can be edited or deleted: chats are moderated long after."""
DEFAULT_REMEMBER_SECONDS = 3600.0
DEFAULT_OVERLOAD_SECONDS = 0.5

Guarantee = Literal["at_least_once", "exactly_once"]
OnLostInput = Literal["fail", "skip"]
"""What to do when committed offsets point to records that are gone."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


class SettingError(Exception):
    """A setting that cannot be used.

    Attributes:
        name: the setting as fields and flags spell it, with underscores.
        detail: one line that says what would do.
    """

    def __init__(self, name: str, detail: str) -> None:
        flag = "--" + name.replace("_", "-")
        super().__init__(f"{flag} (HEARKEN_{name.upper()}): {detail}")
        self.name = name
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Where messages come from and go to."""

    input: str = "hearken.updates"
    output: str = "hearken.revisions"
    dead_letter: str = "hearken.dead-letters"
    state: str = "hearken.state"
    """The changelog. Each group needs one of its own."""

    def __post_init__(self) -> None:
        for field in ("input", "output", "dead_letter", "state"):
            name = getattr(self, field)
            if not _TOPIC.fullmatch(name) or name in (".", ".."):
                raise SettingError(f"{field}_topic", f"{name!r} is not a topic name (letters, digits, '.', '_', '-')")
        if len(set(self.all)) < 4:
            raise SettingError("output_topic", "input, output, dead letters and state need four different topics")

    @property
    def all(self) -> tuple[str, ...]:
        """Their names."""
        return self.input, self.output, self.dead_letter, self.state


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """One running service.

    Raises:
        SettingError: a value that cannot work.
    """

    broker: str
    topics: Topics = Topics()
    group: str = "hearken"
    in_flight: int = 1024
    """Messages taken and not yet answered and acknowledged; when so many wait, partitions are paused."""
    guarantee: Guarantee = "at_least_once"
    commit_seconds: float = 0.1
    """At least once: how often offsets are committed. Exactly once: a partition has a transaction so often."""
    instance_id: str | None = None
    """Static membership: who comes back under its name within the session timeout has its partitions still."""
    session_timeout_seconds: float = 10.0
    """A member that is not heard of for so long loses its partitions."""
    transaction_seconds: float = 10.0
    """A transaction that takes longer is in doubt: its producer is replaced, state and offsets are read again."""
    delivery_seconds: float = 120.0
    """How long brokers may not acknowledge before a partition is given up and opened again."""
    on_lost_input: OnLostInput = "fail"
    max_revision_bytes: int = 1_000_000
    """A revision that is larger becomes a dead letter (brokers take 1 MiB a message unless told otherwise)."""
    idle_seconds: float | None = DEFAULT_IDLE_SECONDS
    """Sessions that hear nothing for so long are closed; None keeps them for ever."""
    connect_seconds: float = 60.0
    """How long to wait for a broker that does not answer yet."""
    shutdown_seconds: float = 20.0
    """How long a shutdown or a rebalance waits for work in flight."""
    log_text: bool = False
    """Log every message with its text. Transcripts are personal data: only where that is allowed."""
    fetch_wait_ms: int = 500
    """How long a broker may hold a fetch until something comes. An embedded one always does so to the end."""

    def __post_init__(self) -> None:
        check_broker(self.broker)
        if not self.group or len(self.group) > 249:
            raise SettingError("group", "a consumer group's name has 1 to 249 characters")
        if self.in_flight < 1:
            raise SettingError("in_flight", f"{self.in_flight} is too few; at least one message must be in flight")
        for name in (
            "commit_seconds",
            "connect_seconds",
            "shutdown_seconds",
            "session_timeout_seconds",
            "transaction_seconds",
            "delivery_seconds",
        ):
            check_seconds(name, getattr(self, name))
        if self.guarantee not in get_args(Guarantee):
            raise SettingError("guarantee", f"{self.guarantee!r} is none: use {' or '.join(get_args(Guarantee))}")
        if self.on_lost_input not in get_args(OnLostInput):
            raise SettingError(
                "on_lost_input", f"{self.on_lost_input!r} is unknown: use {' or '.join(get_args(OnLostInput))}"
            )
        if self.idle_seconds is not None:
            check_seconds("idle_seconds", self.idle_seconds)

    @property
    def heartbeat_seconds(self) -> float:
        """Members hear of a rebalance with their next heartbeat, and all wait for the last: so it is short."""
        return min(3.0, self.session_timeout_seconds / 20)


def check_broker(broker: str) -> None:
    """Check a list of `HOST:PORT`, separated by commas.

    Raises:
        SettingError: it is not one.
    """
    for part in broker.split(","):
        match = _HOST_PORT.fullmatch(part.strip())
        if match is None or not 0 < int(match[2]) < 65536:
            raise SettingError("broker", f"{part.strip()!r} is not HOST:PORT, for example localhost:9092")


def check_seconds(name: str, value: float) -> None:
    """Check a duration.

    Raises:
        SettingError: it is not a positive, finite number.
    """
    if not 0 < value < float("inf"):
        raise SettingError(name, f"{value} is not a number of seconds above 0")


def check_budget(gflops: float, share: float) -> None:
    """Check a compute budget in one of its two units; 0 is none.

    Raises:
        SettingError: it is no rate, or both are given.
    """
    if not 0 <= gflops < float("inf"):
        raise SettingError("budget_gflops", f"{gflops} is not a number of GFLOPs a second (0: no budget)")
    if not 0 <= share <= 1:
        raise SettingError("budget_share", f"{share} is not a share from 0 to 1 (0: no budget)")
    if gflops and share:
        raise SettingError("budget_share", "give either this or --budget-gflops, not both")


def parse_taggers(given: Sequence[str] | None) -> list[str]:
    """Which taggers are asked for: by repeated flags, else by the variable (parted by commas), else the default."""
    named = list(given or ()) or [x.strip() for x in os.environ.get(TAGGER_VARIABLE, "").split(",")]
    return [x for x in named if x] or [DEFAULT_TAGGER]


def parse_speed(speed: str) -> float | None:
    """Read a replay's speed: a factor of real time, or None for `max` (as fast as it goes).

    Raises:
        SettingError: it is neither.
    """
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = -1.0
    if not 0 < factor < float("inf"):
        raise SettingError("speed", f"{speed!r} is neither a factor above 0 (1 is real time) nor 'max'")
    return factor
