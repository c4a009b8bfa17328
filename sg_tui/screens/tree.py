"""All branches of a text: seen, walked, searched, marked; one of them is gone on with."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sg_tui.keys import bindings
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.tree import Place
from sg_tui.terminal.textsafe import safe, safe_line
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.tree_view import TreeView

LEGEND = "› typed  · model  ↳ taken  ✎ edited  ★ bookmark   number: tokens"
WHOLE = 1200  # characters of a node that are shown beneath the tree
HINT = "Enter go there  x fold  b bookmark  / search  Del remove  u undo  s save  o open  Esc close"


class TreeScreen(ModalScreen[Place]):
    """Answers with the place where the chosen text ends. save and load: what `s` and `o` do."""

    CSS_PATH = "../styles/branches.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012 (declared so by Textual)
    BINDINGS = bindings("branches")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(self, manuscript: Manuscript, save: Callable[[], None], load: Callable[[], None]) -> None:
        super().__init__()
        self._manuscript, self._save, self._load = manuscript, save, load

    def compose(self) -> ComposeResult:
        yield TreeView(self._manuscript, id="tree")
        yield Static("", id="whole", markup=False)
        yield LineInput(placeholder="words of any branch", id="search")
        yield Static(LEGEND, id="facts", markup=False)
        yield Static(HINT, id="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(LineInput).display = False
        self.query_one(TreeView).focus()

    @on(TreeView.Moved)
    def _moved(self) -> None:
        view = self.query_one(TreeView)
        view.border_title = Content(f"branches · {safe_line(self._manuscript.title, 40)}")
        self.query_one("#whole", Static).update(Content(safe(view.node.words[:WHOLE]) if view.node else ""))
        view.border_subtitle = f"{view.cursor + 1:,} of {len(view.rows):,}"

    @on(TreeView.Chosen)
    def _chosen(self, event: TreeView.Chosen) -> None:
        way = {node.id for node, _ in self._manuscript.way}
        tree = self._manuscript.tree
        self.dismiss(self._manuscript.head if event.node.id in way else tree.leaf(event.node))

    # ------------------------------------------------------------ searching

    def action_search(self) -> None:
        line = self.query_one(LineInput)
        line.display = True
        line.focus()

    @on(LineInput.Changed)
    def _look(self, event: LineInput.Changed) -> None:
        count = self.query_one(TreeView).search(event.value)
        more = f"n: the next of {count:,}" if count else "found nowhere"
        self.query_one("#facts", Static).update(Content(more if event.value else LEGEND))

    @on(LineInput.Submitted)
    def _found(self) -> None:
        self.query_one(TreeView).focus()

    # ------------------------------------------------------------ files, and the way back

    def action_save_tree(self) -> None:
        self._save()

    def action_load_tree(self) -> None:
        self._load()

    def action_close(self) -> None:
        line = self.query_one(LineInput)
        if line.has_focus:
            line.value = ""
            line.display = False
            self.query_one(TreeView).focus()
        else:
            self.dismiss(None)
