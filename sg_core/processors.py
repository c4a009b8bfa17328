"""How many processors this process may use: what the machine has, its affinity, and the share of its container."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sg_core import notices, windows


def usable_processors() -> int:
    """Processors, hyper-threads counted each, that this process is given at a time; at least 1."""
    return max(1, int(min(_affinity(), container_share())))


def allowed_threads(wanted: int) -> int:
    """`wanted`, or as many threads as there are usable processors, when these are fewer; that is told."""
    usable = usable_processors()
    if wanted <= usable:
        return wanted
    notices.tell(
        f"threads {wanted}: this process may use {usable}; {usable} {'is' if usable == 1 else 'are'} used"
    )  # fmt: skip
    return usable


def physical_cores() -> int:
    """Usable processors, but hyper-threads of a core counted once where the system tells.

    Of Apple's processors the fast cores alone: work is split evenly, and slow ones would keep them waiting.
    """
    return min(_cores() or _affinity(), usable_processors())


def _cores() -> int:
    """0 where no one tells."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "win32":
            return windows.physical_cores()
        if sys.platform == "darwin":
            return _told_by_macos("hw.perflevel0.physicalcpu") or _told_by_macos("hw.physicalcpu")
        topology = Path("/sys/devices/system/cpu")
        cpus = os.sched_getaffinity(0)
        return len({(topology / f"cpu{cpu}/topology/thread_siblings_list").read_text("ascii") for cpu in cpus})
    return 0


def _told_by_macos(name: str) -> int:
    """A number of sysctl's; 0 for a name that it does not know."""
    number, size = ctypes.c_int64(), ctypes.c_size_t(8)
    ctypes.CDLL(None).sysctlbyname(name.encode("ascii"), ctypes.byref(number), ctypes.byref(size), None, 0)
    return number.value


def container_share(root: Path = Path("/")) -> float:
    """Processors' worth of time that the control groups of this process allow, of version 1 or 2; inf without a limit.

    root: where proc and sys stand. A group's limit holds for all within, so that the smallest on the way counts.
    """
    mount = root / "sys/fs/cgroup"
    shares = [float("inf")]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                shares += _limits(mount, group, "cpu.max")
            elif "cpu" in controllers.split(","):
                for name in ("cpu", controllers):
                    shares += _limits(mount / name, group, "cpu.cfs_quota_us", "cpu.cfs_period_us")
    return min(shares)


def _limits(mount: Path, group: str, *files: str) -> Iterator[float]:
    """The shares that a group and those around it have; inside a container only the outermost may be seen."""
    path = PurePosixPath(group.lstrip("/"))
    for place in (path, *path.parents):
        # quota and period in microseconds, in one file or two; "max" or -1 is no limit
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = " ".join((mount / place / name).read_text("ascii") for name in files).split()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)


def _affinity() -> int:
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            return windows.affinity().bit_count()
    elif hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def taken_away() -> int:
    """How often the system has taken a processor away from this process so far; 0 where no one tells."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
