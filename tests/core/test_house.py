"""The house rules: what may import what, what an import may do, how long a file may be."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 400


def sources(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    assert found
    return sorted(path for path in found if "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, node: ast.expr | ast.stmt) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """The modules a file imports: at its top, inside functions, and for types alone."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node)} imports relatively"
            assert node.module is not None
            submodules = [f"{node.module}.{name.name}" for name in node.names]
            known = [name for name in submodules if name in project_modules()]
            if len(known) < len(submodules):
                yield node.module, node
            yield from ((name, node) for name in known)


@cache
def project_modules() -> dict[str, Path]:
    return {module_name(path): path for path in sources("sg_core", "sg_tui")}


def all_imports(*folders: str) -> list[tuple[str, str]]:
    """(module, where it is imported) in all files of some folders."""
    return [(name, place(path, node)) for path in sources(*folders) for name, node in imports(path)]


def all_calls(*folders: str) -> Iterator[tuple[Path, str, ast.Call]]:
    """(file, dotted text of what is called, the call) in all files of some folders."""
    for path in sources(*folders):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield path, ast.unparse(node.func), node


def run_python(code: str, home: Path, *arguments: str) -> str:
    environment = {**os.environ, "SG_HOME": str(home), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *(("-c", code) if code else ()), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("folder", ["sg_core", "sg_tui", "tests"])
def test_no_file_is_long(folder: str) -> None:
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in sources(folder, suffixes=(".py", ".tcss"))}
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES} == {}


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in sources("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


# ---------------------------------------------------------------- who imports whom


def test_the_engine_knows_no_terminal() -> None:
    terminal = {"sg_tui", "textual", "rich", "textual_plot"}
    assert [where for name, where in all_imports("sg_core") if name.split(".")[0] in terminal] == []


Graph = Mapping[str, Collection[str]]  # module -> the project's modules that it imports

# The rooms of both packages, a line a floor: arrows go to lower floors alone. A room is a folder or some files.
FLOORS: tuple[dict[str, str], ...] = (
    {"program": "sg_tui.__main__ sg_tui.cli sg_tui.commands sg_tui.app"},
    {"screens": "sg_tui.screens"},
    {"widgets": "sg_tui.widgets"},
    {"desk": "sg_tui.desk"},
    {"library": "sg_tui.library"},
    {"state": "sg_tui.state"},
    {"terminal": "sg_tui.terminal"},
    {"table of keys": "sg_tui.keys", "figures": "sg_tui.figures", "theme": "sg_tui.theme"},
    {"public interface": "sg_core"},
    {"engine": "sg_core.engine"},
    {"measure": "sg_core.measure"},
    {"training": "sg_core.training"},
    {"facade": "sg_core.gpt2"},
    {"inference": "sg_core.inference"},
    {"storage": "sg_core.storage"},
    {"network": "sg_core.network"},
    {"text": "sg_core.text"},
    {"kernels": "sg_core.kernels"},
    {
        "ground": "sg_core.errors sg_core.config sg_core.paths sg_core.files sg_core.memory sg_core.checks "
        "sg_core.setting sg_core.types sg_core.bfloat16 sg_core.notices sg_core.crash_report sg_core.processors "
        "sg_core.windows"
    },
)
PLACES = {
    part: (floor, room) for floor, rooms in enumerate(FLOORS) for room, parts in rooms.items() for part in parts.split()
}


def room_of(module: str) -> tuple[int, str]:
    """(floor from the top, room) of a module."""
    return PLACES[module if module in PLACES else ".".join(module.split(".")[:2])]


def arrows_up(graph: Graph) -> list[str]:
    """The imports that lead neither within a room nor down."""
    found = []
    for source, targets in graph.items():
        for target in sorted(targets):
            (floor, room), (below, other) = room_of(source), room_of(target)
            if room != other and below <= floor:
                found.append(f"{source} ({room}) -> {target} ({other})")
    return found


def circle(graph: Graph) -> list[str]:
    """The modules of an import circle, none where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as found:
        return list(found.args[1])
    return []


def project_graph() -> Graph:
    return {
        name: {imported for imported, _ in imports(path) if imported in project_modules() and imported != name}
        for name, path in project_modules().items()
        if name != "sg_tui"
    }


def test_arrows_between_rooms_go_down() -> None:
    assert arrows_up(project_graph()) == []


def test_imports_have_no_circle() -> None:
    assert circle(project_graph()) == []


def test_one_arrow_up_is_seen() -> None:
    good = {
        "sg_core.engine.engine": {"sg_core.gpt2", "sg_core.engine.inbox"},
        "sg_core.network.forward": {"sg_core.types"},
    }
    assert arrows_up(good) == []
    assert arrows_up(good | {"sg_core.network.kv_cache": {"sg_core.storage.hub"}}) == [
        "sg_core.network.kv_cache (network) -> sg_core.storage.hub (storage)"
    ]
    assert arrows_up({"sg_tui.theme": {"sg_tui.keys"}}) == ["sg_tui.theme (theme) -> sg_tui.keys (table of keys)"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"a"}})) == {"a", "b"}


def test_imports_for_types_alone_and_inside_functions_count(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from sg_core import paths\n"
        "if TYPE_CHECKING:\n    from sg_core.gpt2 import GPT2\n"
        "def run():\n    import sg_core.engine.engine\n"
    )
    assert [name for name, _ in imports(file)] == ["sg_core.paths", "sg_core.gpt2", "sg_core.engine.engine"]


def test_kernels_know_arrays_and_nothing_else() -> None:
    own = [(name, where) for name, where in all_imports("sg_core/kernels") if name.split(".")[0] == "sg_core"]
    others = [entry for entry in own if not entry[0].startswith("sg_core.kernels")]
    # compiled kernels lie in files, three know how and tell what is wrong with them; a team knows the machine's share
    keepers = {f"sg_core/kernels/{name}.py" for name in ("jit", "cache", "store", "team")}
    ground = {f"sg_core.{name}" for name in ("errors", "files", "notices", "paths", "processors")}
    assert [where for name, where in others if name not in ground or where.split(":")[0] not in keepers] == []


def test_the_engine_runs_without_the_terminal_packages(tmp_path: Path) -> None:
    modules = [name for name in project_modules() if name.split(".")[0] == "sg_core"]
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print([name for name in ("textual", "rich", "sg_tui") if name in sys.modules])
"""
    assert run_python(code, tmp_path).strip() == "[]"


# ---------------------------------------------------------------- what an import may do


def test_importing_the_engine_writes_downloads_and_compiles_nothing(tmp_path: Path) -> None:
    code = """
import sys
def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.")) and event not in ("socket.gethostname", "socket.__new__"):
        raise AssertionError(event)
sys.addaudithook(watch)
import sg_core
print([name for name in ("numba", "numpy", "tiktoken", "tokenizers", "huggingface_hub") if name in sys.modules])
"""
    assert run_python(code, tmp_path).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_importing_every_engine_module_compiles_and_downloads_nothing(tmp_path: Path) -> None:
    modules = [name for name in project_modules() if name.split(".")[0] == "sg_core"]
    code = f"""
import importlib, sys
from numba.core import event
class Watch(event.Listener):
    def on_start(self, happened): raise AssertionError(happened)
    def on_end(self, happened): pass
event.register("numba:compile", Watch())
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise AssertionError(event)
sys.addaudithook(watch)
for name in {modules!r}:
    importlib.import_module(name)
"""
    run_python(code, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


HEAVY = ("tokenizers", "textual", "rich", "numpy", "numba", "llvmlite", "tiktoken", "huggingface_hub", "safetensors")


@pytest.mark.parametrize("command", ["", "complete", "chat", "score", "bench", "train", "models", "doctor"])
def test_help_imports_nothing_heavy(tmp_path: Path, command: str) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    code = f"""
import sys
from sg_tui.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert not end.code
print("\\nheavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    out = run_python(code, tmp_path)
    assert out.startswith("usage: sg-tui")
    assert out.splitlines()[-1] == "heavy: []"
    assert list(tmp_path.iterdir()) == []


def test_the_module_of_the_program_runs(tmp_path: Path) -> None:
    assert run_python("", tmp_path, "-m", "sg_tui", "--help").startswith("usage: sg-tui")


# ---------------------------------------------------------------- what no code may do


def test_no_code_is_read_from_data() -> None:
    unsafe = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    assert [where for name, where in all_imports("sg_core", "sg_tui") if name.split(".")[0] in unsafe] == []
    found = []
    for path, called, call in all_calls("sg_core", "sg_tui"):
        pickles = [ast.unparse(key.value) for key in call.keywords if key.arg == "allow_pickle"]
        if called in {"eval", "exec", "yaml.load", "torch.load"} or pickles not in ([], ["False"]):
            found.append(place(path, call))
    assert found == []


def test_the_engine_neither_prints_nor_exits() -> None:
    talking = {
        "print",
        "input",
        "exit",
        "quit",
        "sys.exit",
        "os._exit",
        "breakpoint",
        "SystemExit",
        "warnings.warn",
    }
    streams = ("sys.stdout", "sys.stderr")
    calls = all_calls("sg_core")
    assert [place(path, call) for path, name, call in calls if name in talking or name.startswith(streams)] == []


def test_fast_mathematics_keeps_nan() -> None:
    """With `fastmath=True`, or LLVM's flags of these names, isnan(nan) would be False."""
    found = []
    for path in sources("sg_core"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "fastmath" and ast.unparse(node.value) == "True":
                found.append(f"{path}:{node.value.lineno}")
            if isinstance(node, ast.Constant) and node.value in ("fast", "nnan", "ninf"):
                found.append(place(path, node))
    assert found == []


def test_nothing_is_left_unfinished() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    found = []
    for path in sources("sg_core", "sg_tui", "tests"):
        lines = path.read_text("utf-8").splitlines()
        found += [f"{path}:{number}" for number, line in enumerate(lines, 1) if any(mark in line for mark in marks)]
        nodes = ast.walk(tree(path))
        found += [f"{path}:{n.lineno}" for n in nodes if isinstance(n, ast.ExceptHandler) and n.type is None]
    assert found == []
