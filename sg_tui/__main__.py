"""`python -m sg_tui` is `sg-tui`."""

from __future__ import annotations

import sys

from sg_tui.cli import main

sys.exit(main())
