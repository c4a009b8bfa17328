"""What to train on: texts of one or several sources, as documents, read again from the disk where they are large."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sg_core import paths
from sg_core.errors import DataError
from sg_core.files import expanded, shown
from sg_core.memory import require_memory
from sg_core.training.growing_ids import IN_MEMORY
from sg_core.training.settings import FIELD
from sg_core.training.sources import go_on, matching, text_files
from sg_core.training.text_files import read_documents, text_size
from sg_core.types import Cancelled, Progress

KEPT = 64 << 20  # characters of all texts, up to which they stay in memory
PIECE = 16 << 20  # characters of a larger text at a time

# Where a text is cut: nothing that a tokenizer knows reaches over such a place, and what begins there needs no space.
_SAFE = re.compile(r"(?<=\w)(?= )")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_FARTHEST = 16 << 20  # characters after which a text is cut anywhere


@dataclass(frozen=True, slots=True)
class Texts:
    """Documents to train on.

    name: what they are called in runs and messages. characters: of all documents. left_out: files of a folder that are
    no texts. Documents of large files are read anew, and checked to be as long as they were, each time.
    """

    name: str
    characters: int
    documents: Callable[[], Iterator[Iterator[str]]]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, *documents: str) -> Texts:
        """Documents in memory."""
        return cls(name, sum(map(len, documents)), lambda: (iter([document]) for document in documents))

    @property
    def text(self) -> str:
        """All of it in one piece, as a person would paste it together."""
        return "".join(piece for document in self.documents() for piece in document)

    def pieces(self) -> Iterator[str | None]:
        """Each document in pieces of a bounded length; None where one ends and another begins.

        A tokenizer gives the pieces the ids that it gives the whole. Raises DataError.
        """
        seen = 0
        for number, document in enumerate(self.documents()):
            if number:
                yield None
            for piece in document:
                seen += len(piece)
                yield piece
        if seen != self.characters:
            raise DataError(f"{shown(self.name)} was changed while it was read; try again")

    def beginning(self, characters: int) -> str:
        """The first characters, documents on lines of their own. Raises DataError."""
        found: list[str] = []
        missing = characters
        for piece in self.pieces():
            found.append("\n" if piece is None else piece[:missing])
            missing -= len(found[-1]) if piece is not None else 0
            if missing <= 0:
                break
        return "".join(found)


def read_text(source: str | Path, progress: Progress | None = None, cancelled: Cancelled | None = None) -> Texts:
    """The text of one source, as for `read_texts`."""
    return read_texts([str(source)], progress=progress, cancelled=cancelled)


def read_texts(
    sources: Sequence[str],
    field: str = FIELD,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Texts:
    """The texts of sources: "tinyshakespeare" (downloaded once, verified), "python-docs", text files and folders, by
    their paths or by patterns with wildcards (books/*.txt, **).

    A file is UTF-8, or UTF-16 with a byte order mark, which is dropped; everything else is kept as it is, CRLF too. It
    may be compressed with gzip. A file of JSON Lines (.jsonl) holds a document a line, in `field`. Of a folder all text
    files are read, those in folders below it too, in the order of their paths; hidden ones are not.
    progress: called with (what, bytes done, bytes in all). Raises DataError for a text that can't be used,
    DownloadError when the download fails.
    """
    if not sources or not all(sources):  # an empty name would be the folder one stands in
        raise DataError("no text is named; name a file, a folder, tinyshakespeare or python-docs")
    parts: list[Texts | Path] = []
    left_out: list[str] = []
    for source in sources:
        parts += _expand(source, left_out, progress, cancelled)
    files = [part for part in parts if isinstance(part, Path)]
    if not parts:
        raise DataError(f"{_shown(sources)} holds no text files; a text to train on is needed")
    size = sum(map(text_size, files))
    # the texts that are kept (1 to 4 bytes a character, in two parts), and tokens up to where they go into a file
    wanted = 6 * min(size, KEPT) + min(2 * size, 8 * IN_MEMORY)
    require_memory(wanted, f"training on {_shown(sources)}", DataError, "use a part of the text")
    _require_disk(size, sources)

    def told(what: str, done: int, total: int) -> None:
        go_on(cancelled, f"reading {shown(what)}")
        if progress is not None:
            progress(what, done, total)

    def documents() -> Iterator[Iterator[str]]:
        for part in parts:
            yield from part.documents() if isinstance(part, Texts) else read_documents(part, field, told)

    texts = _kept_or_not(_name(sources), documents)
    if not texts.characters:
        raise DataError(f"{_shown(sources)} is empty; a text to train on is needed")
    return replace(texts, left_out=tuple(left_out))


def _require_disk(size: int, sources: Sequence[str]) -> None:
    """Raises DataError where the file of a long text's tokens, of four bytes each, can hardly fit."""
    folder = paths.cache_dir()
    try:
        free = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.is_dir())).free
    except (OSError, StopIteration):
        return  # whoever writes there is told
    wanted = size if size > 4 * IN_MEMORY else 0
    if wanted > free:
        raise DataError(
            f"training on {_shown(sources)} needs about {wanted / 1e9:,.1f} GB in {shown(folder)}, where "
            f"{free / 1e9:,.1f} GB are free: make room, or use a part of the text"
        )


def _kept_or_not(name: str, documents: Callable[[], Iterator[Iterator[str]]]) -> Texts:
    """The documents, read once: in memory as long as they are short."""
    characters = 0
    kept: list[str] | None = []
    for document in documents():
        blocks: list[str] = []
        for block in document:
            characters += len(block)
            if characters > KEPT:
                kept = None
            if kept is not None:
                blocks.append(block)
        if kept is not None:
            kept.append("".join(blocks))
    if kept is not None:
        return Texts.of(name, *kept)
    return Texts(name, characters, lambda: (_cut(document) for document in documents()))


def _expand(
    source: str, left_out: list[str], progress: Progress | None, cancelled: Cancelled | None
) -> list[Texts | Path]:
    """The texts and files of a source; files of folders that are no texts are added to `left_out`."""
    if source == "python-docs":
        return [Texts.of(source, _python_docs())]
    if source == "tinyshakespeare":
        from sg_core.training.tinyshakespeare import read_tinyshakespeare

        return [Texts.of(source, read_tinyshakespeare(progress, cancelled).decode("utf-8"))]
    return [file for path in matching(source) for file in text_files(path, left_out, cancelled)]


def _cut(blocks: Iterable[str]) -> Iterator[str]:
    """Blocks of one text, joined and cut again at safe places, so that a piece has about PIECE characters."""
    waiting: list[str] = []
    length = 0
    for block in blocks:
        waiting.append(block)
        length += len(block)
        while length >= PIECE + _FARTHEST:
            text = "".join(waiting)
            safe = _SAFE.search(text, PIECE, PIECE + _FARTHEST) or _WORD_END.search(text, PIECE, PIECE + _FARTHEST)
            place = safe.start() if safe else PIECE
            yield text[:place]
            waiting, length = [text[place:]], length - place
    if length:
        yield "".join(waiting)


def _python_docs() -> str:
    """The language reference that every CPython carries, its topics in alphabetical order."""
    try:
        from pydoc_data.topics import topics
    except ImportError as problem:
        raise DataError("this Python carries no language reference (pydoc_data); train on a text file") from problem
    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"


def _name(sources: Sequence[str]) -> str:
    first = sources[0] if sources[0] in ("tinyshakespeare", "python-docs") else expanded(sources[0]).name
    return (first or sources[0]) + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")


def _shown(sources: Sequence[str]) -> str:
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return shown(expanded(sources[0])) + more
