"""What the pages name is there: links, files, commands; what is packaged is typed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "assets" / "tinyshakespeare" / "README.md"]
FIRST_SCREEN = 60  # lines of the README


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_links_lead_to_files() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))]
    local = [(page, link) for page, link in links if "://" not in link]
    assert len(local) > 10
    assert [f"{page.name}: {link}" for page, link in local if not (page.parent / link).exists()] == []


def test_files_that_pages_name_are_there() -> None:
    """What a recipe creates is called new."""
    named = r"([Aa] new\s+)?`((?:sg_core|sg_tui|tests|docs|assets|\.ci)/[\w./-]*)`"
    found = [(page, new, name) for page in PAGES for new, name in re.findall(named, page.read_text("utf-8"))]
    assert len(found) > 40
    assert [f"{page.name}: {name}" for page, new, name in found if bool(new) == (ROOT / name).exists()] == []


def test_the_readme_begins_with_picture_commands_numbers_and_links() -> None:
    top = "\n".join(read("README.md").splitlines()[:FIRST_SCREEN])
    assert top.index("assets/pictures/switch.svg") < top.index("python3 -m venv") < top.index("ms/token |")
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert {link for link in pages | {"docs/gpt2_twin.py", "CONTRIBUTING.md"} if f"]({link})" not in top} == set()


def test_changes_to_come_are_told_first() -> None:
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert headings[0] == "Unreleased" or headings[0] == version
    assert version in headings


def test_before_a_commit_the_commands_of_ci_run() -> None:
    hooks = re.findall(r"entry: (.+)", read(".pre-commit-config.yaml"))
    assert len(hooks) == 3
    assert [hook for hook in hooks if f" {hook}\n" not in read(".ci/run")] == []
    assert [hook for hook in hooks if f"`{hook}`" not in read("CONTRIBUTING.md")] == []


def test_packages_say_that_they_are_typed() -> None:
    assert [name for name in ("sg_core", "sg_tui") if not (ROOT / name / "py.typed").is_file()] == []
