"""Settings of the service and its taggers. Each is declared once, with its help text, unit and check.

Flags, `HEARKEN_*` variables, keys of a configuration file, `--help` and docs/settings.md are derived from these
declarations (consumers/cli/flags.py).
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, Literal

import typer

PREFIX = "HEARKEN_"
DEFAULT_TAGGER = "ner"
TAGGER_VARIABLE = f"{PREFIX}TAGGER"
REDACTED_TOPIC = "hearken.redacted"
DEFAULT_POLICY = "default"
"""What the tagger was calibrated to, else a price, or last:3 without a head
(`encoder.restart.policy_text.resolve_policy`).
"""
POLICIES = ("default", "always", "never", "last", "entropy", "stability", "whether", "price")
DEFAULT_REMEMBER_SEGMENTS, CHAT_REMEMBER_SEGMENTS = 64, 1024
"""Closed segments of a session that can be edited or deleted; chat messages are moderated long after they were sent."""

Guarantee = Literal["at_least_once", "exactly_once"]
OnLostInput = Literal["fail", "skip"]
"""What to do when committed offsets point to deleted records."""
NumberFormat = Literal["auto", "float32", "bfloat16", "int8"]

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]+)?")


class SettingError(Exception):
    """A value that a setting cannot have.

    Attributes:
        name: the setting's name, with underscores.
        detail: one line that says which values are valid.
    """

    def __init__(self, name: str, detail: str, variable: bool = True) -> None:
        """Name the flag, and the variable if there is one."""
        flag = "--" + name.replace("_", "-")
        super().__init__(f"{flag} ({PREFIX}{name.upper()}): {detail}" if variable else f"{flag}: {detail}")
        self.name = name
        self.detail = detail


def setting(help: str, *names: str, panel: str = "", variable: bool = True, **options: Any) -> Any:
    """Declare a setting: metadata of an annotated dataclass field or parameter.

    Args:
        help: help text.
        names: flags, if they do not follow from the field's name.
        panel: heading in the help text.
        variable: whether a variable `HEARKEN_NAME` sets it as well.
        options: of `typer.Option`: min, max, metavar, show_default.
    """
    # consumers.cli.flags derives the variable's name from the flag's.
    return typer.Option(*names, help=help, rich_help_panel=panel, show_envvar=variable, **options)


_kafka = partial(setting, panel="Kafka")
_delivery = partial(setting, panel="Delivery")
_labels = partial(setting, panel="Labels")
_load = partial(setting, panel="Load")
_sessions = partial(setting, panel="Sessions")


def _complete_tagger(incomplete: str) -> list[str]:
    from encoder.checkpoints.names import shipped_names

    return [name for name in shipped_names() if name.startswith(incomplete)]


def _complete_policy(incomplete: str) -> list[str]:
    return [name for name in POLICIES if name.startswith(incomplete)]


TaggerOption = Annotated[
    list[str] | None,
    _labels(
        "Name of a shipped tagger, folder of a checkpoint, or FOLDER:HEAD. For several taggers repeat the flag, or "
        "separate the names by commas in the variable.",
        metavar="NAME",
        show_default=DEFAULT_TAGGER,
        autocompletion=_complete_tagger,
    ),
]
NumberFormatOption = Annotated[
    NumberFormat, _labels("Number format of the encoder's matrix products; auto: the fastest on this machine.")
]
LogTextOption = Annotated[
    bool, setting("Log messages with their text, which is personal data.", "--log-text", panel="Logging")
]


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Names of the four topics, and of that of the redacted stream.

    Raises:
        SettingError: a name is not valid, or two are the same.
    """

    input: Annotated[str, _kafka("Topic of updates.", "--input-topic", metavar="TOPIC")] = "hearken.updates"
    output: Annotated[str, _kafka("Topic of revisions.", "--output-topic", metavar="TOPIC")] = "hearken.revisions"
    dead_letter: Annotated[
        str, _kafka("Topic of records that cannot be processed.", "--dead-letter-topic", metavar="TOPIC")
    ] = "hearken.dead-letters"
    state: Annotated[
        str,
        _kafka(
            "Compacted topic of the sessions' state (changelog); each group needs its own.",
            "--state-topic",
            metavar="TOPIC",
            show_default="GROUP.state",
        ),
    ] = ""
    redacted: Annotated[
        str,
        _kafka("Topic that --redact writes.", "--redacted-topic", metavar="TOPIC", show_default=REDACTED_TOPIC),
    ] = ""

    def __post_init__(self) -> None:
        for field in ("input", "output", "dead_letter", "state", "redacted"):
            name = getattr(self, field)
            if (not _TOPIC.fullmatch(name) or name in (".", "..")) and (name or field not in ("state", "redacted")):
                raise SettingError(f"{field}_topic", f"{name!r} is not a topic name (letters, digits, '.', '_', '-')")
        if len(set(self.all)) < len(self.all):
            raise SettingError("output_topic", "input, output, dead letters and state need four different topics")

    @property
    def all(self) -> tuple[str, ...]:
        """The four names, and that of the redacted stream if it is written."""
        return self.input, self.output, self.dead_letter, self.state, *([self.redacted] if self.redacted else [])


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Settings of one Kafka service.

    Raises:
        SettingError: a value is not valid.
    """

    broker: Annotated[str, _kafka("Kafka brokers, separated by commas.", metavar="HOST:PORT")] = "localhost:9092"
    topics: Topics = Topics()
    """An empty name of the state topic is replaced by GROUP.state."""
    group: Annotated[str, _kafka("Consumer group.", metavar="NAME")] = "hearken"
    instance_id: Annotated[
        str | None,
        _kafka(
            "Static membership: a member that returns under this name within the session timeout keeps its partitions.",
            metavar="NAME",
        ),
    ] = None
    guarantee: Annotated[Guarantee, _delivery("Delivery guarantee.")] = "at_least_once"
    commit_seconds: Annotated[
        float, _delivery("Interval of offset commits; with exactly_once a partition may begin a transaction in each.")
    ] = 0.1
    transactions_per_second: Annotated[
        int, _delivery("With exactly_once: rate of transactions of one worker, all its partitions together.", min=1)
    ] = 100
    transaction_seconds: Annotated[
        float, _delivery("Time after which an unfinished transaction is abandoned and its input is read again.")
    ] = 10.0
    session_timeout_seconds: Annotated[
        float, _kafka("Time without a heartbeat after which a member loses its partitions.")
    ] = 10.0
    on_lost_input: Annotated[
        OnLostInput,
        _delivery("When records after the committed offset were deleted: fail, or skip to the oldest that exists."),
    ] = "fail"
    in_flight: Annotated[
        int, _load("Largest number of messages in flight; beyond it, partitions are paused.", metavar="N")
    ] = 1024
    fetch_wait_ms: Annotated[
        int, _kafka("Time that a broker may wait for records before it answers a fetch.", min=0, metavar="MS")
    ] = 500
    """The embedded broker always waits that long."""
    connect_seconds: Annotated[float, _kafka("Time to wait for a broker that does not answer.")] = 60.0
    shutdown_seconds: Annotated[
        float, _delivery("Time that a shutdown or a rebalance waits for messages in flight.")
    ] = 20.0
    cloudevents: Annotated[bool, _delivery("Give revisions the headers of CloudEvents.", "--cloudevents")] = False
    log_text: LogTextOption = False
    delivery_seconds: float = 120.0
    """Time without acknowledgement from the brokers after which a partition is closed and opened again."""
    max_revision_bytes: int = 1_000_000
    """Revisions that are larger become dead letters (brokers accept 1 MiB a message by default)."""

    def __post_init__(self) -> None:
        check_broker(self.broker)
        if not self.group or len(self.group) > 249:
            raise SettingError("group", "a consumer group's name has 1 to 249 characters")
        for name in ("in_flight", "transactions_per_second"):
            if getattr(self, name) < 1:
                raise SettingError(name, f"{getattr(self, name)} is too few; 1 is the least")
        times = "commit connect shutdown session_timeout transaction delivery"
        check_seconds(self, " ".join(f"{name}_seconds" for name in times.split()))
        if not self.topics.state:
            object.__setattr__(self, "topics", replace(self.topics, state=f"{self.group}.state"))

    @property
    def heartbeat_seconds(self) -> float:
        """Interval of heartbeats. Members learn of a rebalance with a heartbeat and wait for the last: it is short."""
        return min(3.0, self.session_timeout_seconds / 20)


OFFLINE: dict[str, Any] = {"coalesce": False, "idle_seconds": None, "overload_seconds": 0.0}
"""Settings of an engine whose output depends on its input alone, not on time and load."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Settings of one engine: taggers, restarts, what is shown, how load is limited.

    Raises:
        SettingError: a value is not valid. Names of taggers and policies are checked by
            `consumers.runtime.engine_factory.build_engine`.
    """

    tagger: TaggerOption = None
    policy: Annotated[
        str,
        _labels(
            "Restart policy: always, never, last:K (words), entropy:T (nats), stability:T, whether:T, price:P (changes "
            "per word), or default: the calibrated policy of the tagger, else price:0.005, or last:3 for a tagger "
            "without stability head.",
            metavar="POLICY",
            autocompletion=_complete_policy,
        ),
    ] = DEFAULT_POLICY
    stability: Annotated[
        str,
        _labels(
            "Stability from which spans are published, and from which published spans are changed: low, medium, high, "
            "SHOW:CHANGE, or SHOW:CHANGE:WORDS, which holds nothing back for more words.",
            metavar="LEVEL",
        ),
    ] = "medium"
    promise_alpha: Annotated[
        list[str] | None,
        _labels(
            "Share of published spans that the model may take back, which is watched: ALPHA, LABEL=ALPHA or "
            "TAGGER:LABEL=ALPHA; may be repeated.",
            metavar="ALPHA",
            show_default="calibrated shares",
        ),
    ] = None
    promise_epsilon: Annotated[
        float, _labels("Probability of a false alarm of such a watch, for each label and process.", metavar="SHARE")
    ] = 0.001
    score_threshold: Annotated[
        str,
        _labels(
            "Thresholds of text scores: a revision is published when a score crosses its own. A number for all, "
            "NAME=NUMBER, TAGGER:NAME=NUMBER, separated by commas.",
            metavar="THRESHOLDS",
        ),
    ] = "0.5"
    settled_threshold: Annotated[
        float | None,
        _labels(
            "Stability from which words count as settled, 0 to 1; at 1 none does before its segment closes.",
            min=0,
            max=1,
            metavar="X",
            show_default="calibrated, else 0.99",
        ),
    ] = None
    publish_settled: Annotated[
        bool, _labels("Publish a revision also when only the settled text has changed, by a word or more.")
    ] = False
    device: Annotated[
        str, _labels("Device of the taggers: auto (the CPU), cpu, cuda, or cuda:N.", metavar="DEVICE")
    ] = "auto"
    number_format: NumberFormatOption = "auto"
    coalesce: Annotated[bool, _load("Label only the newest of several waiting updates of a segment.")] = True
    overload_seconds: Annotated[
        float, _load("Restarts are shortened while updates wait longer than this; 0: never.")
    ] = 0.5
    budget_gflops: Annotated[
        float, _load("Compute budget in GFLOPs per second, kept by fewer restarts; 0: no budget.", metavar="GFLOPS")
    ] = 0.0
    budget_share: Annotated[
        float, _load("Compute budget as a share of the compute thread's time, 0 to 1; 0: no budget.", metavar="SHARE")
    ] = 0.0
    idle_seconds: Annotated[float | None, _sessions("Time without messages after which a session is closed.")] = 600.0
    remember_seconds: Annotated[
        float, _sessions("Time for which an ended session continues its numbering (`rev`) if it starts again.")
    ] = 3600.0
    remember_segments: Annotated[
        int | None,
        _sessions(
            "Number of closed segments per session that can still be edited or deleted.",
            min=1,
            max=4096,
            show_default=f"{DEFAULT_REMEMBER_SEGMENTS}; {CHAT_REMEMBER_SEGMENTS} for chat formats",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_seconds(self, "remember_seconds overload_seconds" if self.overload_seconds else "remember_seconds")
        if self.idle_seconds is not None:
            check_seconds(self, "idle_seconds")
        if not 0 < self.promise_epsilon < 1:
            raise SettingError("promise_epsilon", f"{self.promise_epsilon} is not a probability between 0 and 1")
        if not 0 <= self.budget_gflops < float("inf"):
            raise SettingError(
                "budget_gflops", f"{self.budget_gflops} is not a number of GFLOPs a second (0: no budget)"
            )
        if not 0 <= self.budget_share <= 1:
            raise SettingError("budget_share", f"{self.budget_share} is not a share from 0 to 1 (0: no budget)")
        if self.budget_gflops and self.budget_share:
            raise SettingError("budget_share", "give either this or --budget-gflops, not both")
        if not _DEVICE.fullmatch(self.device):
            raise SettingError("device", f"device must be auto, cpu, cuda or cuda:N (got {self.device!r})")

    @property
    def taggers(self) -> list[str]:
        """Names of the taggers, with the default applied."""
        return parse_taggers(self.tagger)


def check_broker(broker: str) -> None:
    """Check a list of `HOST:PORT`, separated by commas.

    Raises:
        SettingError: it is not one.
    """
    for part in broker.split(","):
        match = _HOST_PORT.fullmatch(part.strip())
        if match is None or not 0 < int(match[2]) < 65536:
            raise SettingError("broker", f"{part.strip()!r} is not HOST:PORT, for example localhost:9092")


def check_seconds(settings: object, names: str) -> None:
    """Check durations: fields of `settings`, their names separated by spaces.

    Raises:
        SettingError: one is not a positive, finite number.
    """
    for name in names.split():
        value = getattr(settings, name)
        if not 0 < value < float("inf"):
            raise SettingError(name, f"{value} is not a number of seconds above 0")


def suggest(word: str, known: Iterable[str]) -> str:
    """Name the valid choice that is most similar to a wrong one, as the end of an error message; "" if none is."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Check that a value is one of several.

    Raises:
        SettingError: it is not; the message names all, and the most similar one.
    """
    names = list(known)
    if value not in names:
        raise SettingError(name, f"{value!r} is unknown: use {', '.join(names)}{suggest(value, names)}")


def parse_taggers(given: Sequence[str] | None) -> list[str]:
    """Names of taggers: from repeated flags, else from the variable (separated by commas), else the default."""
    return list(given or ()) or split_names([os.environ.get(TAGGER_VARIABLE, "")]) or [DEFAULT_TAGGER]


def split_names(given: Sequence[str] | None) -> list[str]:
    """Names of a setting that may be given several times: each value may hold several, separated by commas."""
    return [x.strip() for part in given or () for x in part.split(",") if x.strip()]
