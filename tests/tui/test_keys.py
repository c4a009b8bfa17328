"""One table makes bindings, footer and help: nothing bound twice in one place, nothing without words."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from sg_tui.keys import ACTIONS, SCOPES, TYPED, Scope, bindings, footer, help_sections, key_text, markdown

OWNERS: dict[Scope, str] = {
    "app": "sg_tui.app:SgApp",
    "write": "sg_tui.screens.write:WriteScreen",
    "small": "sg_tui.screens.write:WriteScreen",
    "prompt": "sg_tui.widgets.prompt:Prompt",
    "document": "sg_tui.widgets.text_view:TextView",
    "several": "sg_tui.widgets.continuations_view:ContinuationsView",
    "tree": "sg_tui.widgets.tree_view:TreeView",
    "branches": "sg_tui.screens.tree:TreeScreen",
    "editor": "sg_tui.widgets.text_editor:TextEditor",
    "inside": "sg_tui.widgets.head_map:HeadMap",
    "switches": "sg_tui.widgets.optimizations_panel:OptimizationsPanel",
    "sampling": "sg_tui.widgets.sampling_panel:SamplingPanel",
    "form": "sg_tui.screens.train:TrainScreen",
    "choice": "sg_tui.widgets.choice:Choice",
    "samples": "sg_tui.widgets.sample_walk:SampleWalk",
    "train": "sg_tui.screens.train:TrainScreen",
    "chart": "sg_tui.widgets.loss_chart:Plot",
    "bench": "sg_tui.screens.bench:BenchScreen",
    "dialog": "sg_tui.screens.dialog:Dialog",
    "help": "sg_tui.screens.help:HelpScreen",
    "library": "sg_tui.screens.library:LibraryScreen",
    "search": "sg_tui.widgets.search_line:SearchLine",
    "settings": "sg_tui.screens.settings:SettingsScreen",
}
SOURCES = Path(__file__).parents[2] / "sg_tui"
CLASSES = [
    (f"sg_tui.{'.'.join(path.relative_to(SOURCES).with_suffix('').parts)}:{node.name}", node)
    for path in sorted(SOURCES.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.ClassDef)
]


@pytest.mark.parametrize("scope", SCOPES)
def test_no_key_means_two_things_in_one_place(scope: Scope) -> None:
    keys = Counter(key for action in ACTIONS if action.scope == scope for key in action.keys)
    assert not [key for key, count in keys.items() if count > 1]


def test_what_works_everywhere_is_shadowed_nowhere() -> None:
    everywhere = {key for action in ACTIONS if action.scope == "app" for key in action.keys}
    elsewhere = {key for action in ACTIONS if action.scope != "app" for key in action.keys}
    assert not everywhere & elsewhere


@pytest.mark.parametrize(("scope", "owner"), OWNERS.items())
def test_every_action_exists_where_its_scope_says(scope: Scope, owner: str) -> None:
    module, name = owner.split(":")
    place = getattr(importlib.import_module(module), name)
    for action in ACTIONS:
        if action.scope == scope and action.keys:
            assert hasattr(place, f"action_{action.id.split('(')[0]}"), action.id


@pytest.mark.parametrize(
    ("key", "text"),
    [("ctrl+r", "Ctrl+R"), ("alt+1", "Alt+1"), ("f1", "F1"), ("escape", "Esc"), ("p", "p"), ("plus", "+")],
)
def test_keys_as_people_read_them(key: str, text: str) -> None:
    assert key_text(key) == text


def test_help_tells_every_key_with_words() -> None:
    told = {keys for _, rows in help_sections() for keys, _ in rows}
    for action in ACTIONS:
        if not action.id.startswith("flip("):
            assert action.key_text in told
    assert all(words for _, rows in help_sections() for _, words in rows)
    assert "Alt+1 … Alt+9" in told


def test_nothing_is_bound_outside_the_table() -> None:
    bound: dict[Scope, str] = {}
    for name, node in CLASSES:
        for part in node.body:
            target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
            if isinstance(target, ast.Name) and target.id == "BINDINGS":
                value = part.value  # type: ignore[attr-defined]  # an assignment has one
                assert isinstance(value, ast.Call), name
                assert ast.unparse(value.func) == "bindings", name
                bound |= {scope.value: name for scope in value.args if isinstance(scope, ast.Constant)}  # type: ignore[misc]
    assert bound == OWNERS
    makers = [path for path in SOURCES.rglob("*.py") if re.search(r"\bBinding\b[(]|textual.binding", read(path))]
    assert [str(path.relative_to(SOURCES)) for path in makers] == [str(Path("keys", "__init__.py"))]


def test_only_what_the_table_calls_typed_takes_keys_by_itself() -> None:
    methods = [
        (name, part)
        for name, node in CLASSES
        for part in node.body
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not name.startswith("sg_tui.keys.")
    ]
    handlers = {
        name.replace("walk_keys:WalkKeys", "text_view:TextView")  # a part of it
        for name, method in methods
        if re.match(r"_?on_key$|key_|_forward_event$", method.name)
        or "Key)" in " ".join(map(ast.unparse, method.decorator_list))
    }
    assert handlers == {OWNERS[scope] for scope in TYPED if scope != "several"}
    assert {action.scope for action in ACTIONS if not action.keys} <= set(TYPED)


def read(path: Path) -> str:
    return path.read_text("utf-8")


def test_the_most_wanted_comes_first_in_the_footer() -> None:
    shown = footer(("prompt", "write", "app"))
    assert [action.id for action in shown[:2]] == ["send", "stop"] or shown[0].footer == 1
    assert [action.footer for action in shown] == sorted(action.footer for action in shown)


def test_bindings_carry_keys_and_words() -> None:
    (help_,) = [one for one in bindings("app") if one.action == "help"]
    assert (help_.key, help_.priority, help_.show) == ("f1", True, False)


def test_the_readme_table_has_a_row_a_key() -> None:
    table = markdown()
    assert "| `Ctrl+R` | Write the last part again with another seed |" in table
