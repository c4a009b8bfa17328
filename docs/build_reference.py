"""Builds the API reference of this checkout's `sg_core` from its docstrings: python docs/build_reference.py FOLDER

Its first page begins with the examples. Every warning is an error, a module that can not be imported for one.
"""

import pkgutil
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

DOCS = Path(__file__).resolve().parent

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER")
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Error parsing type annotation")  # shown as written; mypy checks them
    sys.path.insert(0, str(DOCS.parent))  # before an installed copy
    package = import_module("sg_core")
    package.__doc__ = f"{package.__doc__}\n{(DOCS / 'examples.md').read_text('utf-8')}"
    pdoc.render.configure(docformat="markdown", show_source=False)
    rooms = (f"sg_core.{module.name}" for module in pkgutil.iter_modules(package.__path__))
    pdoc.pdoc("sg_core", *rooms, output_directory=Path(sys.argv[1]))
