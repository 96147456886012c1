"""Which source of labels a processor is given."""

from hearken.model import Model
from hearken.voice.label_source import LabelSource
from hearken.voice.model_source import ModelSource
from hearken.voice.server_source import ServerSource


def make_source(source: Model | str | LabelSource, redact: bool = False) -> LabelSource:
    """Return the source of labels that a processor was given.

    Args:
        source: taggers of this process (`hearken.load`), the address of a server, or a source.
        redact: whether texts are to be redacted.

    Raises:
        ValueError: the taggers redact nothing, or the address is none.
    """
    if isinstance(source, str):
        return ServerSource(source)
    if not isinstance(source, Model):
        return source
    if redact and not source.redacts:
        raise ValueError('the model redacts nothing: load it with redact="all", or name the labels to cover')
    return ModelSource(source)
