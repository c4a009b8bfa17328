"""The tree of a text, a node a row: only what is seen is drawn, so that ten thousand nodes cost no more than ten."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sg_tui.keys import bindings
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.tree import Node
from sg_tui.state.tree_rows import Row, rows, unfold_to
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.wrapping import width_of

ORIGINS = {"person": "›", "model": "·", "taken": "↳", "edit": "✎"}
SHOWN = 300  # characters of a node that are looked at


class TreeView(ScrollView, can_focus=True):
    """Rows with a cursor. What is done to a node can be undone, and is kept like the text itself."""

    BINDINGS = bindings("tree")  # type: ignore[assignment]  # a list of Binding is what Textual wants
    COMPONENT_CLASSES = {  # noqa: RUF012 (declared so by Textual)
        "tree--person",
        "tree--model",
        "tree--taken",
        "tree--edit",
        "tree--faint",
        "tree--mark",
        "tree--cursor",
        "tree--found",
    }

    class Chosen(Message):
        """The text is to be the one that goes through this node."""

        def __init__(self, node: Node) -> None:
            self.node = node
            super().__init__()

    class Moved(Message):
        """The cursor is on another node, or the tree has changed."""

    def __init__(self, manuscript: Manuscript, id: str | None = None) -> None:
        super().__init__(id=id)
        self.manuscript = manuscript
        self.rows: list[Row] = []
        self.cursor = 0
        self.words = ""  # searched for
        self._on_way: set[int] = set()
        self._done: list[tuple[Node, str, bool]] = []  # what can be undone: a node's mark, and what it was

    # ------------------------------------------------------------ what is shown

    def on_mount(self) -> None:
        way = self.manuscript.way
        self._on_way = {node.id for node, _ in way}
        if way:
            unfold_to(self.manuscript.tree, way[-1][0])
        self._rebuild(way[-1][0] if way else None)

    def _rebuild(self, node: Node | None) -> None:
        """The tree has changed: the rows anew, with the cursor on this node, or near where it was."""
        self.rows = rows(self.manuscript.tree)
        at = next((number for number, row in enumerate(self.rows) if row.node is node), self.cursor)
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows))
        self.move(at)
        self.refresh()

    @property
    def node(self) -> Node | None:
        """The one under the cursor."""
        return self.rows[self.cursor].node if self.cursor < len(self.rows) else None

    def move(self, row: int) -> None:
        """Put the cursor on a row, and bring that into view."""
        self.cursor = max(0, min(len(self.rows) - 1, row))
        top, height = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        if not top <= self.cursor < top + height:
            self.scroll_to(y=self.cursor - height // 2, animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows))
        self.move(self.cursor)

    # ------------------------------------------------------------ walking

    def action_move(self, by: int) -> None:
        self.move(self.cursor + by)

    def action_move_page(self, by: int) -> None:
        self.move(self.cursor + by * max(1, self.scrollable_content_region.height - 1))

    def action_move_end(self, by: int) -> None:
        self.move(0 if by < 0 else len(self.rows) - 1)

    def action_to_parent(self) -> None:
        if self.node is not None:
            parent = self.manuscript.tree.nodes.get(self.node.parent)
            self.move(next((n for n, row in enumerate(self.rows) if row.node is parent), self.cursor))

    def action_to_child(self) -> None:
        if self.node is not None and self.node.folded:
            self.action_fold()
        elif self.node is not None:
            self.move(
                next((n for n, row in enumerate(self.rows) if row.node.parent == self.rows[self.cursor].node.id), 0)
            )

    def action_go(self) -> None:
        if self.node is not None:
            self.post_message(self.Chosen(self.node))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y + self.scroll_offset.y < len(self.rows):
            self.move(offset.y + self.scroll_offset.y)
            if event.chain == 2:
                self.action_go()

    # ------------------------------------------------------------ marks

    def action_fold(self) -> None:
        self._toggle("folded")

    def action_mark(self) -> None:
        self._toggle("marked")

    def action_remove(self) -> None:
        if self.node is not None and self.node.id not in self._on_way:
            self._toggle("removed")
        else:
            self.app.bell()

    def _toggle(self, what: str) -> None:
        node = self.node
        if node is not None:
            self._done.append((node, what, getattr(node, what)))
            self._set(node, what, not getattr(node, what))

    def _set(self, node: Node, what: str, value: bool) -> None:
        setattr(node, what, value)
        self.manuscript.tree.touch(node)
        self._rebuild(node)

    def action_undo(self) -> None:
        if self._done:
            self._set(*self._done.pop())

    # ------------------------------------------------------------ searching

    def search(self, words: str) -> int:
        """Go to the first node that holds these words, whatever their case; how many there are."""
        self.words = words.casefold()
        self.refresh()
        found = [node for node, _ in self.manuscript.tree.walk() if self._holds(node)] if words else []
        if found:
            self._show(found[0])
        return len(found)

    def _holds(self, node: Node) -> bool:
        return self.words in node.words.casefold()

    def _show(self, node: Node) -> None:
        unfold_to(self.manuscript.tree, node)
        self._rebuild(node)

    def action_next(self) -> None:
        """The next node that was found, or with a bookmark when nothing is searched for."""
        nodes = [node for node, _ in self.manuscript.tree.walk()]
        wanted = [node for node in nodes if (self._holds(node) if self.words else node.marked)]
        if wanted:
            here = nodes.index(self.node) if self.node in nodes else -1
            places = {node.id: number for number, node in enumerate(nodes)}
            self._show(next((node for node in wanted if places[node.id] > here), wanted[0]))

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        width, number = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self.rich_style
        if number >= len(self.rows):
            return Strip.blank(width, base)
        row = self.rows[number]
        node, facts = row.node, self._facts(row)
        lead = "│ " * max(0, row.depth - row.forks) + ("├─" if row.forks and row.depth else "")
        style = self.get_component_rich_style(f"tree--{node.author}")
        if self.words and self._holds(node):
            style += self.get_component_rich_style("tree--found")
        style += Style(bold=node.id in self._on_way)
        room = max(0, width - len(lead) - 2 - len(facts))
        segments = [
            Segment(lead, self.get_component_rich_style("tree--faint")),
            Segment(f"{ORIGINS[node.author]} ", self.get_component_rich_style("tree--mark")),
            Segment(_fitted(node.words[:SHOWN], room), style),
            Segment(facts, self.get_component_rich_style("tree--faint")),
        ]
        strip = Strip(segments).adjust_cell_length(width, base)
        return strip.apply_style(self.get_component_rich_style("tree--cursor")) if number == self.cursor else strip

    @staticmethod
    def _facts(row: Row) -> str:
        hidden = f" ▸ {row.hidden:,} more" if row.hidden else ""
        return f"{hidden} {'★' if row.node.marked else ' '}{row.node.length:>4}"


def _fitted(words: str, width: int) -> str:
    """The words on one line of exactly so many cells."""
    shown, column = [], 0
    for character in safe_line(" ".join(words.split()) or "(blank)", SHOWN):
        size = width_of(character, column)
        if column + size > width:
            break
        shown.append(character)
        column += size
    return "".join(shown) + " " * (width - column)
