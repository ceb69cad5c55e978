"""`python -m benchmarks [NAME ...] [--quick | --full]`: runs measurements, kept as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    audit,
    auth,
    bundle,
    capture,
    growth,
    issue,
    labels,
    limits,
    log,
    mutations,
    overload,
    page,
    province,
    recall,
    scale,
    size,
    verify,
    web,
)
from benchmarks.backends import SQLITE

# A quick run shows that a measure works; that each backend can be measured, `scale` shows.
_ONE = (SQLITE,)
RESULTS = Path(__file__).parent / "results.json"
MEASURES: dict[str, tuple[Callable[[], dict[str, object]], Callable[[], dict[str, object]]]] = {
    "verify": (verify.measure, lambda: verify.measure(100, 1, 0.3, _ONE)),
    "issue": (issue.measure, lambda: issue.measure(20_000, 20_000)),
    "labels": (labels.measure, lambda: labels.measure(8, 16)),
    "capture": (capture.measure, lambda: capture.measure(1000, 20)),
    "bundle": (bundle.measure, lambda: bundle.measure(10, 2)),
    "mutations": (mutations.measure, lambda: mutations.measure(300)),
    "log": (log.measure, lambda: log.measure(600, 1, 2000)),
    "audit": (audit.measure, lambda: audit.measure(60, 1, (SQLITE,))),
    "auth": (auth.measure, lambda: auth.measure(60, 1)),
    "recall": (recall.measure, lambda: recall.measure(3)),
    "size": (size.measure, lambda: size.measure(4)),
    "growth": (growth.measure, lambda: growth.measure((200, 400), 10, None, _ONE)),
    "scale": (scale.measure, lambda: scale.measure(100, 200, 400, 2, 20)),
    "web": (web.measure, lambda: web.measure(100, 1)),
    "page": (page.measure, lambda: page.measure(1, ["slow_4g"])),
    "limits": (limits.measure, lambda: limits.measure(0.5, 1, 100, 400)),
    "overload": (overload.measure, lambda: overload.measure(0.5, 500, 3, _ONE)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="small and noisy; keeps nothing")
    parser.add_argument("--full", action="store_true", help="growth up to 10^7 events; takes long")
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    for name in arguments.names or MEASURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        whole, quick = MEASURES[name]
        if name == "growth" and arguments.full:
            results[name] = growth.measure(growth.FULL)
        else:
            results[name] = quick() if arguments.quick else whole()
        if _saturated(results[name]):
            print(f"{name}: the load generator was saturated at times", file=sys.stderr)
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
        if "scale" in results:
            # The document says where its figures are from, whatever is measured elsewhere later.
            kept["scale_machine"] = kept["machine"]
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
        if "scale" in results:
            province.write(kept)
    return 0


def _saturated(found: object) -> bool:
    if not isinstance(found, dict):
        return False
    said = any(found.get(n) for n in ("client_saturated", "two_processes_client_saturated"))
    return said or any(_saturated(v) for v in found.values())


if __name__ == "__main__":
    raise SystemExit(main())
