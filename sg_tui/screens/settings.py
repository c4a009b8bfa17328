"""All settings, and the keys of every action: one line each, changed and put back in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sg_core import paths
from sg_core.checks import number, whole
from sg_core.errors import SettingError
from sg_core.inference.sampling import Sampling
from sg_core.setting import Setting, settings_of
from sg_tui.desk import Desk
from sg_tui.keys import ACTIONS, SCOPES, Action, bindings, choose, chosen, key_text, name_of
from sg_tui.keys.chosen import present, wrong
from sg_tui.library.preferences import FILE, Preferences
from sg_tui.screens.dialog import Dialog
from sg_tui.screens.line_dialog import LineDialog
from sg_tui.terminal.textsafe import safe_line
from sg_tui.theme import DARK, LIGHT
from sg_tui.widgets.line_input import LineInput

REMEMBERED = ("mode", "model")  # set where they are used
LABEL = 44  # columns of a setting's words, on a screen of 84 or more


@dataclass(frozen=True, slots=True)
class Heading:
    """A line between the settings."""

    words: str


Row = Heading | Setting | Action


class SettingsScreen(Dialog[None]):
    """Every change holds at once, and is kept."""

    BINDINGS = bindings("settings")
    TITLE_TEXT = "settings"
    HINT = "Enter change   Ctrl+R as usual   Esc close"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._words = ""
        self._rows: list[Row] = []

    def body(self) -> Iterable[Widget]:
        yield LineInput(placeholder="type to find a setting or a key", id="find")
        yield OptionList(id="setting-list", markup=False)
        yield Static(id="meaning", markup=False)

    def on_mount(self) -> None:
        self._list()
        self.query_one("#find").focus()

    # ------------------------------------------------------------ the list

    def _all(self) -> Iterable[Row]:
        yield Heading("Settings")
        yield from (one for one in settings_of(Preferences) if one.name not in REMEMBERED)
        yield Heading("Sampling")
        yield from settings_of(Sampling)
        scope = ""
        for action in ACTIONS:
            if action.keys and action.description:
                if action.scope != scope:
                    scope = action.scope
                    yield Heading(f"Keys: {SCOPES[action.scope]}")
                yield action

    def _list(self) -> None:
        """Show the rows that have the words, with their headings."""
        wanted = self._words.casefold().split()
        rows: list[Row] = []
        heading: Heading | None = None
        for row in self._all():
            if isinstance(row, Heading):
                heading = row
            elif all(word in f"{self._label(row)} {self._value(row)}".casefold() for word in wanted):
                rows += [heading, row] if heading else [row]
                heading = None
        options = self.query_one("#setting-list", OptionList)
        place = options.highlighted or 0
        same = len(rows) == len(self._rows)
        self._rows = rows
        options.clear_options()
        options.add_options([Option(self._line(row), disabled=isinstance(row, Heading)) for row in rows])
        options.highlighted = (place if same else 1) if rows else None
        self._explain()

    def _line(self, row: Row) -> Content:
        if isinstance(row, Heading):
            return Content.styled(row.words, "bold $primary")
        mark = "*" if self._own(row) else " "
        width = min(LABEL, self.app.size.width - 40)
        return Content(f" {mark} {self._label(row)[:width]:<{width}} {self._value(row)}")

    def _label(self, row: Setting | Action) -> str:
        return row.description if isinstance(row, Action) else row.label

    def _value(self, row: Setting | Action) -> str:
        if isinstance(row, Action):
            return present(row).key_text
        return safe_line(str(self._now(row)))

    def _now(self, row: Setting) -> object:
        """The value that holds."""
        kept = self._desk.present(self._theme)
        return getattr(kept.sampling if row in settings_of(Sampling) else kept, row.name)

    def _own(self, row: Setting | Action) -> bool:
        """Whether the person has set it."""
        return name_of(row) in chosen() if isinstance(row, Action) else self._now(row) != row.default

    @property
    def _theme(self) -> str:
        return "light" if self.app.theme == LIGHT.name else "dark"

    @property
    def _row(self) -> Setting | Action | None:
        """The highlighted one."""
        at = self.query_one("#setting-list", OptionList).highlighted
        row = self._rows[at] if at is not None and at < len(self._rows) else None
        return None if isinstance(row, Heading) else row

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        """What the highlighted setting means, its range, and where it is kept."""
        row = self._row
        words = "Nothing is called so." if not self._rows else ""
        if isinstance(row, Setting):
            words = f"{row.help} ({_range(row)}; usually {row.default if row.default != '' else 'none'})"
        elif row is not None:
            words = f"{name_of(row)}: usually {row.key_text}"
        folder = safe_line(str(paths.config_dir()))
        self.query_one("#meaning", Static).update(Content(f"{words}\n* set by you; kept in {FILE} in {folder}"))

    @on(LineInput.Changed, "#find")
    def _narrow(self, event: LineInput.Changed) -> None:
        self._words = event.value
        self._list()

    # ------------------------------------------------------------ changing

    def action_move(self, by: int) -> None:
        options = self.query_one("#setting-list", OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    @on(OptionList.OptionSelected)
    @on(LineInput.Submitted, "#find")
    def action_change(self) -> None:
        row = self._row
        if isinstance(row, Action):
            self._ask_keys(row)
        elif isinstance(row, Setting) and row.choices:
            at = (row.choices.index(str(self._now(row))) + 1) % len(row.choices)
            self._set(row, row.choices[at])
        elif isinstance(row, Setting):
            self._ask(row)

    def _ask(self, row: Setting) -> None:
        def check(line: str) -> str:
            try:
                read(row, line)
            except SettingError as problem:
                return str(problem)
            return ""

        def taken(line: str | None) -> None:
            if line is not None:
                self._set(row, read(row, line))

        self.app.push_screen(LineDialog(row.label, _range(row), str(self._now(row)), check), taken)

    def _ask_keys(self, row: Action) -> None:
        def taken(keys: str | None) -> None:
            if keys is not None:
                self._take_keys(row, keys)

        now = " ".join(map(key_text, present(row).keys))
        hint = "Ctrl+E, Alt+1, F11 or x; several with a blank between"
        self.app.push_screen(LineDialog(row.description, hint, now, lambda line: wrong(row, line, ACTIONS)), taken)

    def action_usual(self) -> None:
        row = self._row
        if isinstance(row, Action):
            self._take_keys(row, "")
        elif isinstance(row, Setting):
            self._set(row, row.default)

    def _set(self, row: Setting, value: object) -> None:
        if row.name == "theme":
            self.app.theme = LIGHT.name if value == "light" else DARK.name
        else:
            self._desk.set_preference(row.name, value)
        self._list()

    def _take_keys(self, row: Action, keys: str) -> None:
        """Other keys for an action; "": the usual ones."""
        own = {name: " ".join(some) for name, some in chosen().items() if name != name_of(row)}
        problems = choose(own | ({name_of(row): keys} if keys else {}), ACTIONS)
        self._desk.keys = {name: " ".join(some) for name, some in chosen().items()}
        self.app.set_keymap({name: ",".join(some) for name, some in chosen().items()})
        self.problem(safe_line("; ".join(problems), 300))
        self._list()


def read(row: Setting, line: str) -> object:
    """What was typed for a setting, as its value. Raises SettingError."""
    if not row.number:
        return line.strip()
    try:
        value = int(line) if row.whole else float(line)
    except ValueError:
        raise SettingError(f"{line.strip()!r} is no {'whole ' if row.whole else ''}number") from None
    if row.whole:
        return whole(row.label, value, int(row.low), int(row.high))
    number(row.label, value, row.low, row.high)
    return value


def _range(row: Setting) -> str:
    if row.choices:
        return ", ".join(row.choices)
    if row.whole:
        return f"{int(row.low):,} to {int(row.high):,}"
    return f"{row.low:g} to {row.high:g}" if row.number else "a text"
