"""What a process that draws labels runs: `python -m tracechain.adapters.labels.child`.

Requests are (plan, labels), answers what was drawn: pickles between two of our own processes over
a private socket pair.
"""

from __future__ import annotations

import pickle

from tracechain.adapters.child_process import requests


def main() -> None:
    """Works until its input ends."""
    # Imported here: the service names this module, and draws nothing itself.
    from tracechain.adapters.labels.drawing import draw_labels

    asked = requests()
    next(asked)
    for request, answer in asked:
        plan, labels = pickle.loads(request)
        answer(pickle.dumps(draw_labels(plan, labels)))


if __name__ == "__main__":
    main()
