"""A text as a file: plain, Markdown, JSON that can be taken in again, or HTML with tokens tinted by their surprise."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sg_core.errors import SettingError
from sg_core.files import read_bytes
from sg_tui.library.store import dump_turns, load_turns
from sg_tui.library.tree_table import WRONG
from sg_tui.state.inside_state import changes_text
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.terminal.textsafe import safe, safe_line

FORMAT, VERSION = "sg-tui text", 1
LARGEST = 256 << 20  # bytes of a file that is imported
STRONGEST = 12.0  # bits of surprise with the strongest tint
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&])")


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what is known of it. mode: "complete" or "chat"."""

    title: str
    model: str
    mode: str
    manuscript: Manuscript


def export(document: Document, suffix: str) -> str:
    """The text as a file with this suffix has it; an unknown one is plain text."""
    return FORMATS.get(suffix.lower(), plain)(document)


def plain(document: Document) -> str:
    """The text, exactly as it is."""
    return document.manuscript.text


def markdown(document: Document) -> str:
    """The person's words bold, cues in italics; nothing in them is markup."""
    body = "".join(map(_marked, document.manuscript.pieces))
    lines = re.sub(r"(?<=\S) *\n(?=[^\n])", "\\\\\n", body)  # a line end stays one
    return f"# {_literal(_title(document))}\n\n{lines}\n"


def _marked(piece: Piece) -> str:
    mark = {"person": "**", "edit": "**", "cue": "*"}.get(piece.author, "")
    return "\n".join(
        re.sub(r"^(\s*)(.*?)(\s*)$", rf"\1{mark}\2{mark}\3", _literal(line)) if line.strip() else line
        for line in safe(piece.text).split("\n")
    )


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def as_json(document: Document) -> str:
    """All there is: who wrote what, every token with its alternatives. ASCII."""
    head = {"format": FORMAT, "version": VERSION, "title": document.title, "model": document.model}
    turns = json.loads(dump_turns(document.manuscript.turns))
    return json.dumps({**head, "mode": document.mode, "turns": turns}, indent=1) + "\n"


def as_html(document: Document) -> str:
    """One page that needs nothing else: hovering over a token tells its chance and its alternatives."""
    title = html.escape(safe_line(_title(document)))
    spans = "".join(map(_span, document.manuscript.pieces))
    model = html.escape(safe_line(document.model))
    return _PAGE.format(title=title, model=model, spans=spans)


def _span(piece: Piece) -> str:
    words, kind = html.escape(safe(piece.text)), "model changed" if piece.style == "changed" else piece.author
    token = piece.token
    if token is None or not math.isfinite(token.logprob):
        return f'<span class="{kind}">{words}</span>'
    bits = max(0.0, -token.logprob / math.log(2))
    tint = min(1.0, bits / STRONGEST)
    others = [
        f"{safe_line(text)!r} {100 * math.exp(logprob):.1f} %"
        for text, (_, logprob) in zip(piece.top_texts, token.top, strict=False)
    ]
    changes = [f"{changes_text(piece.changes)}: not the model's own"] if piece.changes else []
    told = html.escape("\n".join([f"{100 * math.exp(token.logprob):.1f} %, {bits:.1f} bits", *others, *changes]))
    return f'<span class="{kind}" style="--tint:{tint:.2f}" title="{told}">{words}</span>'


def _title(document: Document) -> str:
    return document.title or "a text"


FORMATS: Mapping[str, Callable[[Document], str]] = {
    ".txt": plain,
    ".md": markdown,
    ".json": as_json,
    ".html": as_html,
}


def read(path: Path) -> Document:
    """A file as a text of the library: one exported as JSON as it was, any other as words of the person.

    Raises ValueError with one line for what can't be taken.
    """
    data = read_bytes(path, LARGEST, SettingError)
    name = safe_line(path.name, 60)
    if path.suffix.lower() == ".json":
        try:
            return _read_json(json.loads(data))
        except (*WRONG, AttributeError):
            raise ValueError(f"{name} is no text that sg-tui exported as JSON") from None
    manuscript = Manuscript()
    manuscript.begin([Piece(data.decode("utf-8", "replace"), "person")])
    if manuscript.empty:
        raise ValueError(f"{name} is empty")
    return Document(path.stem, "", "complete", manuscript)


def _read_json(data: Any) -> Document:
    """Raises what a wrong shape raises."""
    if (data["format"], data["version"]) != (FORMAT, VERSION):
        raise ValueError("another format")
    manuscript = Manuscript(load_turns(json.dumps(data["turns"]).encode()))
    return Document(
        str(data["title"]), str(data["model"]), "chat" if data["mode"] == "chat" else "complete", manuscript
    )


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ground: #f6f5f3; --ink: #292722; --person: #2456a6; --heat: 176 35 35; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #15171b; --ink: #e6dfcf; --person: #9ec4f0; --heat: 224 127 115; }}
}}
body {{ background: var(--ground); color: var(--ink); max-width: 44rem; margin: 3rem auto; padding: 0 1rem;
  font: 1rem/1.6 ui-monospace, monospace; }}
h1 {{ font-size: 1.1rem; }}
pre {{ white-space: pre-wrap; font: inherit; }}
.person {{ color: var(--person); font-weight: bold; }}
.cue, .changed {{ font-style: italic; }}
.model {{ background: rgb(var(--heat) / calc(.45 * var(--tint, 0))); }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Written with {model}. The stronger the tint, the more a token surprised the model.</p>
<pre>{spans}</pre>
</body>
</html>
"""
