"""What makes any text harmless to a terminal and to the layout, whatever a model, a file or an error says.

One table, applied character by character, so that a sequence split across tokens is as harmless as a whole.
After it the width of a text is the sum of the widths of its characters: whatever joins characters into one
picture (joiners, variation selectors, skin tones) is left out of what is shown, never of what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_REPLACED: tuple[tuple[int, int], ...] = (
    (0x80, 0x9F),  # C1 controls
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x61C, 0x61C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # invisible Khmer vowels
    (0x180B, 0x180F),  # Mongolian selectors and vowel separator
    (0x200B, 0x200C),  # zero-width space and non-joiner
    (0x200E, 0x200F),  # left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, bidirectional overrides
    (0x2060, 0x206F),  # invisible operators, isolates, deprecated format characters
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xDFFF),  # lone surrogates: can't be encoded
    (0xFEFF, 0xFEFF),  # byte-order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFFB),  # annotation marks
    (0xFFFE, 0xFFFF),  # not characters
    (0xE0000, 0xE0FFF),  # tags and further selectors
)
_LEFT_OUT: tuple[tuple[int, int], ...] = ((0x200D, 0x200D), (0xFE00, 0xFE0F), (0x1F3FB, 0x1F3FF))


def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    table[0x7F] = "\N{SYMBOL FOR DELETE}"
    for first, last in _REPLACED:
        table.update(dict.fromkeys(range(first, last + 1), REPLACEMENT))
    for first, last in _LEFT_OUT:
        table.update(dict.fromkeys(range(first, last + 1), None))
    return table


_TABLE = _table()
_LINE_TABLE = _TABLE | {0x0A: chr(0x240A), 0x09: chr(0x2409)}


def safe(text: str) -> str:
    """The text with every control, bidirectional and width-breaking character made visible or left out.

    \\n and \\t stay.
    """
    return text.translate(_TABLE)


def safe_line(text: str, limit: int = 0) -> str:
    """The text on one harmless line, \\n and \\t shown as symbols; `limit` > 0 cuts it, with an ellipsis."""
    cut = text if limit <= 0 or len(text) <= limit else text[: limit - 1] + "…"
    return cut.translate(_LINE_TABLE)


def raw_index(raw: str, shown: int) -> int:
    """Index in `raw` of the character that `safe(raw)` shows at index `shown`; len(raw) past its end."""
    for index, position in enumerate(_shown_positions(raw)):
        if position == shown:
            return index
    return len(raw)


def _shown_positions(raw: str) -> Iterator[int | None]:
    """For each raw character, its index in what is shown, or None where it is left out."""
    position = 0
    for character in raw:
        if _TABLE.get(ord(character), "") is None:
            yield None
        else:
            yield position
            position += 1
