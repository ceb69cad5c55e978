"""`python -m benchmarks [NAME ...] [--quick]`: runs measurements and keeps them as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import capture, issue, size, verify

RESULTS = Path(__file__).parent / "results.json"
MEASURES: dict[str, tuple[Callable[[], dict[str, object]], Callable[[], dict[str, object]]]] = {
    "verify": (verify.measure, lambda: verify.measure(1000, 3)),
    "issue": (issue.measure, lambda: issue.measure(20_000, 20_000)),
    "capture": (capture.measure, lambda: capture.measure(1000, 20)),
    "size": (size.measure, lambda: size.measure(4)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="small and noisy; keeps nothing")
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    for name in arguments.names or MEASURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = MEASURES[name][1 if arguments.quick else 0]()
        print(json.dumps({name: results[name]}, indent=2), flush=True)
    if not arguments.quick:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept.update(results)
        kept["machine"] = {
            "date": datetime.date.today().isoformat(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
        }
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
