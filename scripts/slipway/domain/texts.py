"""Text of files, values and other programs as it may be put on a terminal, into Markdown, or into a page."""

from __future__ import annotations

import re

# C0 and C1 controls; what turns the direction of writing around; separators that end a line; tags, which nobody sees
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str) -> str:
    """Text in which whatever steers a terminal is spelled out; lines and tabs stay."""
    return _STEERING.sub(lambda found: _spelled(found[0]), text)


def one_line(text: str) -> str:
    """The same on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _spelled(sign: str) -> str:
    code = ord(sign)
    if sign in _NAMED:
        return _NAMED[sign]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
