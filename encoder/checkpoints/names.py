"""Names of taggers: which heads of which checkpoints an operator's names mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from encoder.checkpoints.location import SHIPPED, CheckpointError, find_checkpoint, read_config


@dataclass(frozen=True, slots=True)
class HeadChoice:
    """Chosen heads of one checkpoint."""

    folder: Path
    heads: tuple[str, ...]
    """Names as revisions give them (`encoder.heads.head.Head`)."""


def choose_taggers(names: Iterable[str]) -> list[HeadChoice]:
    """Resolve names of taggers; those of one checkpoint are grouped, so that they share one pass.

    Args:
        names: each is a shipped checkpoint or a checkpoint's folder (which means all of its heads), a head of a shipped
            checkpoint, or "CHECKPOINT:HEAD".

    Raises:
        CheckpointError: there is no such tagger, or one is named twice.
    """
    chosen: dict[Path, HeadChoice] = {}
    taken: dict[str, str] = {}
    for name in names:
        found = _find(name)
        for head in found.heads:
            if head in taken:
                raise CheckpointError(_explain_twice(head, taken[head], name))
            taken[head] = name
        place = found.folder.resolve()
        before = chosen.get(place)
        chosen[place] = HeadChoice(before.folder, before.heads + found.heads) if before else found
    return list(chosen.values())


def _find(name: str) -> HeadChoice:
    folder, _, head = name.rpartition(":")
    if (whole := _read_choice(name)) is not None:
        return whole
    if folder and (whole := _read_choice(folder)) is not None:
        if head in whole.heads:
            return HeadChoice(whole.folder, (head,))
        raise CheckpointError(f"tagger {name!r}: {folder} has no head {head!r}; it has {', '.join(whole.heads)}")
    owners = [choice for choice in _shipped() if name in choice.heads]
    if len(owners) == 1:
        return HeadChoice(owners[0].folder, (name,))
    if owners:
        several = " or ".join(f"{choice.folder.name}:{name}" for choice in owners)
        raise CheckpointError(f"tagger {name!r} is a head of several shipped checkpoints: say {several}")
    listed = ", ".join(
        x.folder.name if x.heads == (x.folder.name,) else f"{x.folder.name} with {', '.join(x.heads)}"
        for x in _shipped()
    )
    raise CheckpointError(
        f"tagger {name!r} is none of the shipped ones ({listed or 'there are none'}), nor a folder with a"
        " config.json, nor FOLDER:HEAD"
    )


def _read_choice(name: str) -> HeadChoice | None:
    try:
        folder = find_checkpoint(name)
    except CheckpointError:
        return None
    return HeadChoice(folder, tuple(head or folder.name for head in read_config(folder).label_sets))


def _shipped() -> list[HeadChoice]:
    found = (_read_choice(path.parent.name) for path in sorted(SHIPPED.glob("*/config.json")))
    return [choice for choice in found if choice is not None]


def shipped_names() -> list[str]:
    """Names of all shipped checkpoints and of their heads."""
    return [name for choice in _shipped() for name in (choice.folder.name, *choice.heads)]


def _explain_twice(head: str, first: str, second: str) -> str:
    if first == second:
        return f"tagger {head!r} is named twice"
    return (
        f"{first} and {second} both have a tagger {head!r}: revisions could not be told apart. Leave one out, or give"
        " its folder another name"
    )
