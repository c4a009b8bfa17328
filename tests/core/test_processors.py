"""How many processors a process may use, whatever gives or takes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_core import notices, processors
from sg_core.processors import allowed_threads, container_share, physical_cores, usable_processors


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(notices, "_told", set())
    notices.listen(lines.append)
    yield lines
    notices.listen(None)


def machine(root: Path, groups: str, **files: str) -> Path:
    """A root folder with control groups; in names __ stands for a slash, _ for a dot."""
    files = {name.replace("__", "/").replace("_max", ".max"): text for name, text in files.items()}
    written = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in written.items():
        path = root / name.replace("cfs_", "cpu.cfs_")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert container_share(tmp_path) == float("inf")


def test_version_2_gives_a_share_at_any_height(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/a/b\n", a__b__cpu_max="max 100000\n", a__cpu_max="150000 100000\n")
    assert container_share(root) == 1.5


def test_version_2_as_a_container_sees_it(tmp_path: Path) -> None:
    assert container_share(machine(tmp_path, "0::/\n", cpu_max="50000 100000")) == 0.5


def test_version_1_gives_a_share(tmp_path: Path) -> None:
    groups = "4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n"
    root = machine(tmp_path, groups, cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
    assert container_share(root) == 3.0


@pytest.mark.parametrize("quota", ["-1", "", "nonsense", "0"])
def test_version_1_without_a_limit_or_unreadable(tmp_path: Path, quota: str) -> None:
    root = machine(tmp_path, "3:cpu:/\n", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    assert container_share(root) == float("inf")


@pytest.mark.parametrize(("share", "usable"), [(0.5, 1), (1.9, 1), (2.0, 2), (float("inf"), 4)])
def test_the_smaller_of_affinity_and_share_counts(monkeypatch: pytest.MonkeyPatch, share: float, usable: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processors, "container_share", lambda: share)
    assert usable_processors() == usable
    monkeypatch.setattr(processors, "usable_processors", usable_processors)
    assert 1 <= physical_cores() <= usable


def test_more_threads_than_processors_are_told_once(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(processors, "usable_processors", lambda: 2)
    assert [allowed_threads(count) for count in (1, 2, 64, 64)] == [1, 2, 2, 2]
    monkeypatch.setattr(processors, "usable_processors", lambda: 1)
    assert allowed_threads(2) == 1
    assert told == [
        "threads 64: this process may use 2; 2 are used",
        "threads 2: this process may use 1; 1 is used",
    ]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_team_in_one_processor_has_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from sg_core import notices; notices.listen(print)\n"
        "from sg_core.kernels.team import Team; print(Team(64).threads)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["threads 64: this process may use 1; 1 is used", "1"]
