"""Compiling and packing before it is needed: of an engine that is about to serve, and of the cache folder.

The sample interview is labelled, with sessions that are edited, evicted from memory by a restart and restored, so that
every kernel meets every type of argument that it meets live. What serves does so under its own restart policy, before
it takes the first record: else the first updates would wait for seconds. `hearken warm` does so under every kind of
policy.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import structlog

from consumers.common.console import show_compiling
from consumers.common.errors import OperationFailed
from consumers.common.settings import DEFAULT_POLICY, EngineSettings
from consumers.formats.decode import decode_message
from consumers.runtime.engine_factory import build_engine, warn_of_cache
from encoder.cache_folder import VARIABLE, cache_folder, write_failure
from encoder.kernel_cache import count_compiled
from stream.engine.engine import Engine
from stream.ingest.schedule import LONG_TOKENS
from stream.messages.types import Delete, End, Message, Update
from stream.overload.budget import Budget
from stream.sessions.snapshot import Entry, restore_sessions

SAMPLE = Path(__file__).parents[1] / "samples" / "interview.jsonl"
MESSAGES = 120
LOW_RATE = 1e6
"""FLOPs a second, which are spent at once."""
TOGETHER = 4
"""Messages that are submitted before a step."""
POLICIES = (DEFAULT_POLICY, "last:3", "entropy:0.5", "stability:0.9", "whether:0.9", "price:0.005", "always", "never")


log = structlog.get_logger()


def warm_engine(engine: Engine, stopped: Callable[[], bool] = lambda: False) -> None:
    """Compile, or load from the cache folder, what an engine needs to label, and show it; the engine has no session.

    With a full cache folder it takes some tenths of a second. A failure is logged, and left to the first updates.

    Args:
        engine: which no other thread may step meanwhile.
        stopped: whether to end early; asked between steps.
    """
    with show_compiling() as shown, count_compiled(shown) as compiled:
        begun = time.perf_counter()
        try:
            _label_sample(engine.make_sibling(), engine.make_sibling(Budget(LOW_RATE)), stopped)
        except Exception as error:  # serving is more than a quick first update
            log.warning("warm_up_failed", error=f"{type(error).__name__}: {error}")
    if compiled:
        log.info("kernels_compiled", functions=len(compiled), seconds=round(time.perf_counter() - begun, 1))
    warn_of_cache()


def warm_cache(settings: EngineSettings, tell: Callable[[str], None]) -> None:
    """Compile and pack all that these taggers need here; `tell` is given a line for each part.

    Raises:
        OperationFailed: the folder cannot be written.
        SettingError: see `consumers.runtime.engine_factory.build_engine`.
    """
    tell(f"{'folder':<14}{cache_folder()}")
    _check_folder(cache_folder())
    started = time.perf_counter()
    with count_compiled() as compiled:
        for policy in POLICIES:
            before, begun = len(compiled), time.perf_counter()
            engine = build_engine(replace(settings, policy=policy))
            words = _label_sample(engine, build_engine(replace(settings, policy=policy, budget_gflops=LOW_RATE / 1e9)))
            seconds = time.perf_counter() - begun
            tell(f"{policy:<14}{words} words labelled, {len(compiled) - before} functions compiled, {seconds:.1f} s")
    if (failure := write_failure()) is not None:
        raise _refusal(failure[0], failure[1].strerror)
    files = [path for path in cache_folder().rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    tell(f"{'done':<14}{len(files)} files, {size:.1f} MB, {time.perf_counter() - started:.1f} s")


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is compiled for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error.strerror) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(folder, "it is read-only")


def _refusal(path: Path, reason: str | None) -> OperationFailed:
    return OperationFailed(f"{path} cannot be written: {reason}; set {VARIABLE} to a folder that can")


def _label_sample(engine: Engine, following: Engine, stopped: Callable[[], bool] = lambda: False) -> int:
    """Label the sample with an engine, and go on with another that restores its sessions; gives the words labelled.

    The second one should have a low budget: it prices restarts, as overload does.
    """
    messages = list(enumerate(_sample()))
    try:
        entries, words = _run(engine, messages[: MESSAGES // 2], stopped)
        for session, saved in restore_sessions(entries).items():
            following.restore(saved, session)
        return words + _run(following, messages[MESSAGES // 2 :], stopped)[1]
    finally:
        for one in (engine, following):  # what sessions hold of the cache is free again
            for session in one.intake.sessions:
                one.drop(session)
            one.step()


def _sample() -> Iterator[Message]:
    """Messages of the sample, some of which are edited or deleted after they closed; at last, a segment that is so long
    that it is labelled in slices, and the end of the session.
    """
    texts = []
    with SAMPLE.open("rb") as lines:
        for number, line in enumerate(islice(lines, MESSAGES)):
            message = decode_message(line)
            yield message
            texts += [message.text] if isinstance(message, Update) else []
            if isinstance(message, Update) and number % 10 == 9:
                text = message.text
                yield Update(session=message.session, segment=message.segment, text=f"well {text}", final=True)
                yield Update(session=message.session, segment=message.segment, text=text[: len(text) // 2], final=True)
                if number % 20 == 19:
                    yield Delete(session=message.session, segment=message.segment)
    said = " ".join(texts)
    long = (said + " ") * (1 + 4 * LONG_TOKENS // len(said))
    yield Update(session=message.session, segment="long", text=long[: 5 * LONG_TOKENS], final=True)
    yield End(session=message.session)


def _run(engine: Engine, messages: list[tuple[int, Message]], stopped: Callable[[], bool]) -> tuple[list[Entry], int]:
    """Step an engine through messages; gives the entries of its state, and the words that it labelled."""
    entries: list[Entry] = []
    words = 0
    for start in range(0, len(messages), TOGETHER):
        for offset, message in messages[start : start + TOGETHER]:
            engine.submit(message, offset)
        while engine.pending and not stopped():
            engine.update_load(0.0)  # a budget prices restarts once it knows the time
            result = engine.step()
            for failure in result.failures:
                raise failure.error
            entries += result.entries
            words += result.stats.words
    return entries, words
