from __future__ import annotations

import sys
from pathlib import Path

# the small training that the handlers are tested with
sys.path.insert(0, str(Path(__file__).parents[1] / "handlers"))
