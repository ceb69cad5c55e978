"""What a process that draws reports runs: `python -m tracechain.adapters.evidence.child`."""

from __future__ import annotations

from tracechain.adapters.process_pool import work_off


def main() -> None:
    """Works until its input ends."""
    # Imported here: the service names this module, and draws nothing itself.
    from tracechain.adapters.evidence.paper import draw

    work_off(draw)


if __name__ == "__main__":
    main()
