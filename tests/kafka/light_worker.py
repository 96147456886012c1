"""`hearken` with a labeller from word lists and without torch and numba, so that a worker starts in a blink.

`python -m tests.kafka.light_worker serve FLAGS` is what `hearken serve FLAGS` is. With `--forget` before `serve` it
restores nothing, as a faulty service would: the oracle must notice. With `--gullible` it takes the last state of each
key for the newest, whoever wrote it.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from consumers.common.redaction import NO_REDACTION, RedactionSettings
from consumers.common.settings import DEFAULT_REMEMBER_SEGMENTS, EngineSettings


def _stand_in(name: str, **names: object) -> None:
    module = ModuleType(name)
    module.__dict__.update(names)
    sys.modules[name] = module


def _bare(*arguments: Any, **_: object) -> Any:
    """A decorator that does nothing, with or without arguments."""
    called = arguments and callable(arguments[0])
    return arguments[0] if called else lambda function: function


def make_light() -> None:
    """Keep out what is slow to import and not needed for a labeller from word lists."""
    _stand_in("encoder.tagger", Tagger=type("Tagger", (), {}))
    _stand_in("stream.labelling.hybrid", HybridLabeller=type("HybridLabeller", (), {}))
    _stand_in("encoder.kernel_cache", kernel=_bare)
    _stand_in("consumers.runtime.warm", warm_engine=lambda *_: None)


def light_engine(settings: EngineSettings, redaction: RedactionSettings = NO_REDACTION) -> Any:
    """As consumers.runtime.engine_factory.build_engine; the word "poison" makes labelling fail."""
    from encoder.restart.policies import parse_policy
    from encoder.restart.policy_text import resolve_policy
    from stream.engine.engine import Engine
    from stream.overload.governor import Governor
    from stream.redaction.rule_covers import labels_of_rules, make_detector
    from stream.revisions.emission import parse_emission
    from stream.sessions.redactor import Redactor
    from tests.stream.fake_tagger import fake_labeller

    assert settings.budget_gflops == settings.budget_share == 0, "word lists cost nothing that could be budgeted"
    by_rules = labels_of_rules()
    policy = redaction.make_policy(by_rules | {"person", "place", "organization"})
    rules = make_detector() if policy and policy.labels and policy.labels & (by_rules - {"person"}) else None
    return Engine(
        fake_labeller(*settings.taggers, poison=["poison"]),
        parse_policy(resolve_policy(settings.policy, None)),
        coalesce=settings.coalesce,
        governor=Governor(settings.overload_seconds) if settings.overload_seconds else None,
        emission=parse_emission(settings.stability),
        idle_seconds=settings.idle_seconds,
        remember_seconds=settings.remember_seconds,
        remember_segments=settings.remember_segments or DEFAULT_REMEMBER_SEGMENTS,
        redactor=policy and Redactor(policy, None, rules),
    )


def _believe_all() -> None:
    from consumers.kafka.output import ownership
    from consumers.kafka.output.partition_writer import AtLeastOnce

    async def write_states(self: AtLeastOnce, entries: Any) -> None:
        for record in await self._wait_for_acks(await self._send(self._producer, entries=entries)):
            self.state_end = max(self.state_end, record.offset + 1)

    ownership.read_epoch = lambda headers: None
    ownership.is_claim = lambda value: False  # type: ignore[attr-defined]
    ownership.LatestRecords._is_older = lambda *_: False  # type: ignore[method-assign]
    AtLeastOnce.write_states = write_states  # type: ignore[method-assign]
    AtLeastOnce.report_state_end = lambda *_: None  # type: ignore[method-assign]


def _main() -> int:
    make_light()
    import consumers.runtime.engine_factory
    from consumers.cli.main import main

    build: Callable[..., Any] = light_engine
    consumers.runtime.engine_factory.build_engine = build
    consumers.runtime.engine_factory.check_engine = lambda _: None
    arguments = sys.argv[1:]
    if arguments[:1] == ["--forget"]:
        from stream.engine.engine import Engine

        Engine.restore = lambda *_: None  # type: ignore[method-assign]
        arguments = arguments[1:]
    elif arguments[:1] == ["--gullible"]:
        _believe_all()
        arguments = arguments[1:]
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_main())
