#!/usr/bin/env python3
"""Make the drift reference of the example pipeline: what its load generator sends as long as nothing is shifted.

It goes into the chart, so that the data monitor judges from its first window on, and does not take for healthy what
happens to come first. With --check nothing is written and a stale file is an error.
"""

import argparse
import contextlib
import io
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples/pipeline"))

from data_monitor.__main__ import main as data_monitor  # noqa: E402
from loadgen.events import EventSource  # noqa: E402
from recommender import features, model, records  # noqa: E402

REFERENCE = ROOT / "charts/streaming-monitoring/files/data-monitor/ml-recommender.json"
EVENTS = 20_000
SAMPLE = 500
SEED = 1
NOW_MS = 1_767_225_600_000


def predictions(count: int, shift: float = 0.0, seed: int = SEED) -> list[str]:
    """Records as the predictions topic has them, by the code of the generator and of the job."""
    source = EventSource("reference", shift=shift, random=random.Random(seed))  # noqa: S311
    store = features.SlowFeatureStore(0.0, clock=lambda: 0.0, sleep=lambda seconds: None)
    made = []
    for number in range(count):
        event = records.loads(source.next(NOW_MS + number))
        made.append(model.predict(event, features.extract(event, store), NOW_MS + number))
    return made


def build() -> str:
    """The reference's text."""
    with tempfile.TemporaryDirectory() as folder:
        rows, output = Path(folder) / "predictions-of-the-load-generator.jsonl", Path(folder) / "reference.json"
        rows.write_text("\n".join(predictions(EVENTS)))
        command = ["reference", "build", f"--input={rows}", f"--output={output}", f"--sample={SAMPLE}"]
        with contextlib.redirect_stdout(io.StringIO()):
            code = data_monitor(command)
        if code:
            raise SystemExit(code)
        return output.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file is stale")
    arguments = parser.parse_args()
    text = build()
    if REFERENCE.exists() and REFERENCE.read_text() == text:
        return 0
    name = REFERENCE.relative_to(ROOT)
    if arguments.check:
        print(f"stale: {name}\nrun: make generate", file=sys.stderr)
        return 1
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(text)
    print(f"updated: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
