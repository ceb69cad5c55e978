"""What a process that draws labels runs: `python -m tracechain.adapters.labels.child`.

Requests are (plan, labels), answers (failed, what was drawn or what was raised): pickles between
two of our own processes over a private socket pair.
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
        try:
            drawn = draw_labels(plan, labels)
        except Exception as error:
            # A defect of ours: it is told once, and does not cost the process.
            answer(pickle.dumps((True, f"{type(error).__name__}: {error}")))
        else:
            answer(pickle.dumps((False, drawn)))


if __name__ == "__main__":
    main()
