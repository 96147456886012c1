"""Settings of redaction, as flags and as a policy."""

import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from consumers.common.logs import hide_personal_data
from consumers.common.settings import SettingError, setting

if TYPE_CHECKING:
    from stream.redaction.policy import RedactionPolicy
    from stream.rules.user.rules_file import CustomRules

RedactStyle = Literal["label", "numbered", "mask", "hash", "surrogate"]


@dataclass(frozen=True, kw_only=True)
class RedactionSettings:
    """What is redacted, when it is released, and how it looks; nothing is redacted without labels."""

    redact: Annotated[
        str | None,
        setting(
            "Labels to redact, separated by commas, or all. Text is released once it is settled, and covered values "
            "are replaced.",
            panel="Redaction",
            metavar="LABELS",
            show_default="none",
        ),
    ] = None
    release: Annotated[
        str,
        setting(
            "When text is released: settled, final (when its segment closes), or words:K (behind K newer words).",
            panel="Redaction",
            metavar="settled|final|words:K",
        ),
    ] = "settled"
    redact_style: Annotated[
        RedactStyle,
        setting(
            "What stands in place of a value: [PHONE], [PHONE_1] (the same value has the same number in a session), a "
            "mask of equal length, a keyed hash, or an invented value of the same kind.",
            panel="Redaction",
        ),
    ] = "label"
    redact_key: Annotated[
        str | None,
        setting(
            "Secret of hashes, of 16 characters or more; better given as a variable than on the command line.",
            panel="Redaction",
            metavar="KEY",
            show_default="none",
        ),
    ] = None
    redact_rules: Annotated[
        Path | None,
        setting(
            "Rules of your own for values: patterns, lists of words, words that ask for a value, what is allowed.",
            panel="Redaction",
            metavar="FILE.toml",
            show_default="none",
        ),
    ] = None
    redact_withheld: Annotated[
        Literal["omit", "masked"],
        setting("Text that is not released: omit it, or show it masked, as blocks of equal length.", panel="Redaction"),
    ] = "omit"
    redact_ids: Annotated[
        bool,
        setting(
            "Replace ids of sessions and segments, speakers and channels by keyed hashes, too.",
            "--redact-ids",
            panel="Redaction",
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.redact is None:
            for name in ("release", "redact_style", "redact_rules", "redact_withheld", "redact_ids"):
                if getattr(self, name) != getattr(type(self), name):
                    raise SettingError(name, "nothing is redacted; name labels with --redact")
        self.make_policy(None)
        self.read_rules()

    def hide_personal_data(self) -> None:
        """Keep texts, and ids if they are hashed, out of the log and the crashes of this process, if it redacts."""
        if self.redact is None:
            return
        from stream.redaction.replacements import hash_name

        key = (self.redact_key or "").encode()
        hide_personal_data(partial(hash_name, key, "id") if self.redact_ids else None)

    def read_rules(self) -> "CustomRules | None":
        """Read the rules file; None if there is none.

        Raises:
            SettingError: it cannot be read, or has an error.
        """
        if self.redact_rules is None:
            return None
        from stream.rules.user.rules_file import RulesFileError, load_rules

        try:
            return load_rules(self.redact_rules)
        except (RulesFileError, OSError) as error:
            raise SettingError("redact_rules", str(error)) from error

    def make_policy(self, known: frozenset[str] | None) -> "RedactionPolicy | None":
        """Return the policy; None if nothing is redacted.

        Args:
            known: labels of the taggers and rules; None: they are not known yet.

        Raises:
            SettingError: a value is not valid, or a label is unknown.
        """
        if self.redact is None:
            return None
        from stream.redaction.policy import RedactionError, RedactionPolicy, Release, parse_labels, parse_release

        if self.redact_style == "surrogate" and find_spec("faker") is None:
            raise SettingError("redact_style", "surrogates need Faker: pip install faker")
        try:
            labels = None if known is None else parse_labels(self.redact, known)
            release: Release = parse_release(self.release)
            return RedactionPolicy(
                labels=labels,
                release=release,
                style=self.redact_style,
                key=(self.redact_key or "").encode(),
                withheld=self.redact_withheld,
                hash_ids=self.redact_ids,
            )
        except RedactionError as error:
            raise SettingError(error.setting, str(error)) from error


NO_REDACTION = RedactionSettings()

_PATH = re.compile(r"at `(\$[\w.\[\]]*)`")
_EXPECTED = re.compile(r"^(Expected `[\w |]+`, got `[\w |]+`|Object missing required field `\w+`)")


def hide_detail(reason: str, detail: str) -> str:
    """Return an explanation of an error that quotes nothing of the message: its reason, field and type."""
    path = _PATH.search(detail)
    expected = _EXPECTED.match(detail)
    known = [x for x in (expected[1] if expected else "", f"at `{path[1]}`" if path else "") if x]
    return " ".join(known) or _GENERAL.get(reason, "see docs/redaction.md")


_GENERAL = {
    "empty": "a message without a value",
    "too_large": "the message is too large",
    "invalid_utf8": "the value is not UTF-8",
    "invalid_json": "the value is not JSON",
    "invalid_message": "the value is no message",
    "key_mismatch": "the key of the record is not the session of its message",
    "wrong_partition": "the session belongs to another partition",
    "no_session": "the message names no session",
    "unknown_format": "the message is of no known format",
    "reader_failed": "the format cannot read the message",
    "other_format": "the message is of another format",
    "bad_id": "an id has 1 to 256 characters, none of them a control character",
    "bad_text": "the text has a character that cannot be stored",
    "bad_time": "a time is no finite number of seconds",
    "text_too_long": "the text is too long",
    "unknown_session": "there is no such session",
    "unknown_segment": "there is no such segment",
    "words_mismatch": "`words` has not one entry for each word of the text",
    "labelling_failed": "labelling failed",
    "redacted_update_too_large": "the redacted text is larger than a record may be",
    "revision_too_large": "the revision is larger than a record may be",
    "too_many_sessions": "too many sessions are open",
    "internal": "a fault of the service",
}
"""What is said of an error where something is redacted: explanations may quote what they are about."""
