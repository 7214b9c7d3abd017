"""The demo is run from the repository's root (`python -m demo`): make it importable here in the same way."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
