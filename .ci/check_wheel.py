"""Checks what a wheel holds: the two packages, their styles and marks, the shipped model, and nothing else.

python .ci/check_wheel.py FOLDER, of a checkout, FOLDER having one wheel of it
"""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

SHIPPED = "assets/tinyshakespeare/"
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def expected() -> set[str]:
    """What git knows of the packages, and the model inside the engine's."""
    paths = ["sg_core", "sg_tui", SHIPPED]
    listed = subprocess.run(["git", "ls-files", *paths], capture_output=True, text=True, check=True).stdout.split()
    return {f"sg_core/{path}" if path.startswith(SHIPPED) else path for path in listed}


if __name__ == "__main__":
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    names = {name for name in ZipFile(wheel).namelist() if not name.endswith("/")}
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    wrong = {
        "missing": expected() - names,
        "not wanted": names - metadata - expected(),
        "metadata": {name.split("/", 1)[1] for name in metadata} ^ METADATA,
        "not typed": {f"{package}/py.typed" for package in ("sg_core", "sg_tui")} - names,
    }
    if any(wrong.values()):
        sys.exit("\n".join(f"{wheel.name}: {what}: {sorted(files)}" for what, files in wrong.items() if files))
    print(f"{wheel.name}: {len(names)} files, as they should be")
