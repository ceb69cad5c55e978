"""What a process that draws labels runs: `python -m tracechain.adapters.labels.child`."""

from __future__ import annotations

from tracechain.adapters.process_pool import work_off


def main() -> None:
    """Works until its input ends."""
    # Imported here: the service names this module, and draws nothing itself.
    from tracechain.adapters.labels.drawing import draw_labels

    work_off(draw_labels)


if __name__ == "__main__":
    main()
