"""Text that Slack shows of blocks and attachments, in the order in which it is shown.

Slack sends typed `&`, `<` and `>` as entities, which are unescaped; not in the elements of rich text, which have none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_MAX_DEPTH = 32
_SHOWN = ("title", "label", "text", "description", "fields", "elements", "rows", "hint", "placeholder", "alt_text")
"""Fields of blocks and their elements that are shown, or hold what is shown."""
_ATTACHMENT = ("pretext", "author_name", "title", "text", "fields", "footer")
_MENTIONS = {
    "user": ("user_id", "<@{}>"),
    "channel": ("channel_id", "<#{}>"),
    "usergroup": ("usergroup_id", "<!subteam^{}>"),
}


def unescape(text: str) -> str:
    """Return a text with the characters that its author typed."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def block_texts(blocks: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of blocks; `blocks` is decoded JSON of any kind."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(blocks, list):
        for block in blocks:
            yield from block_texts(block, depth + 1)
    elif isinstance(blocks, str):
        yield unescape(blocks)
    elif isinstance(blocks, Mapping):
        kind = blocks.get("type")
        if kind in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"):
            yield "".join(_inline(x) for x in _list(blocks.get("elements")))
        else:
            for name in _SHOWN:
                yield from block_texts(blocks.get(name), depth + 1)


def attachment_texts(attachments: Any) -> Iterator[str]:
    """Yield the texts of attachments; the fallback only of those that have no other."""
    for attachment in _list(attachments):
        if not isinstance(attachment, Mapping):
            continue
        texts = [text for name in _ATTACHMENT for text in _attachment_part(attachment.get(name))]
        texts += block_texts(attachment.get("blocks"))
        for shared in _list(attachment.get("message_blocks")):
            message = shared.get("message") if isinstance(shared, Mapping) else None
            texts += block_texts(message.get("blocks") if isinstance(message, Mapping) else None)
        yield from texts or _attachment_part(attachment.get("fallback"))


def _attachment_part(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield unescape(part)
    for field in part if isinstance(part, list) else ():
        if isinstance(field, Mapping):
            yield from (unescape(x) for x in (field.get("title"), field.get("value")) if isinstance(x, str))


def _inline(element: Any) -> str:
    if not isinstance(element, Mapping):
        return ""
    kind, text = element.get("type"), element.get("text")
    if kind == "emoji":
        return f":{element.get('name', '')}:"
    if kind == "broadcast":
        return f"<!{element.get('range', '')}>"
    if kind in _MENTIONS:
        name, form = _MENTIONS[kind]
        return form.format(element.get(name, ""))
    shown = text or element.get("url") or element.get("value") or element.get("fallback")
    return shown if isinstance(shown, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
