"""What the Write view does with the branches of its text: they are shown, gone to, marked, saved and opened."""

from __future__ import annotations

from pathlib import Path

from sg_tui.library.tree_file import dump_tree
from sg_tui.screens.load_dialog import LoadDialog
from sg_tui.screens.save_dialog import SaveDialog
from sg_tui.screens.tree import TreeScreen
from sg_tui.screens.write_several import SeveralActions
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.tree import Place
from sg_tui.state.writing import Writing
from sg_tui.widgets.text_view import TextView


class TreeActions(SeveralActions):
    """`t` while walking, Alt+T anywhere."""

    def action_tree(self) -> None:
        self.when_stopped(self._show_tree)

    def _show_tree(self) -> None:
        manuscript = self.desk.writing.manuscript
        if manuscript.blank:
            self.desk.say("There are no branches yet: a text comes first.")
            return
        self.app.push_screen(TreeScreen(manuscript, self._save_tree, self._load_tree), self._tree_left)

    def _tree_left(self, place: Place | None) -> None:
        manuscript = self.desk.writing.manuscript
        if place is not None and place != manuscript.head:
            manuscript.go(place)
            self.show_text()
            self.query_one(TextView).follow()
        self.desk.keep_text()

    def _save_tree(self) -> None:
        manuscript = self.desk.writing.manuscript
        dialog = SaveDialog(lambda suffix: dump_tree(manuscript), manuscript.title, ".json", what="all branches")
        self.app.push_screen(dialog, self._tree_saved)

    def _tree_saved(self, path: Path | None) -> None:
        if path is not None:
            self.desk.say(f"All branches are saved in {path}")

    def _load_tree(self) -> None:
        self.app.push_screen(LoadDialog(), self._tree_loaded)

    def _tree_loaded(self, manuscript: Manuscript | None) -> None:
        if manuscript is not None:
            self.app.pop_screen()
            self.take_up(Writing(self.desk.writing.chat, self.desk.writing.cast, manuscript))
            self.desk.keep_text()

    def action_mark(self) -> None:
        """Set or take away a bookmark on the node of the chosen token."""
        view, manuscript = self.query_one(TextView), self.desk.writing.manuscript
        if view.cursor is not None and view.cursor < len(manuscript.pieces):
            node = manuscript.node_at(view.cursor)
            node.marked = not node.marked
            manuscript.tree.touch(node)
            self.desk.say("Bookmarked: the tree shows it with ★." if node.marked else "No longer bookmarked.")
