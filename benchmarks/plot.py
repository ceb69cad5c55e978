"""Plots as SVG, the same bytes for the same figures: no random ids and no hidden date."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def growth(found: dict[str, Any], path: Path, date: str) -> None:
    """Cost against size, a panel for each backend. `found` is what growth.measure gives."""
    # Here, since of all measures one draws, and this takes longer than all their other imports.
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "tracechain"
    figure, panels = pyplot.subplots(
        1, len(found), figsize=(6 * len(found), 4), squeeze=False, sharey=True
    )
    for axes, (backend, result) in zip(panels[0], found.items(), strict=True):
        points = result["points"]
        sizes = [point["events"] for point in points]
        for i, name in enumerate(("trace", "verify", "capture", "nothing")):
            for share, style in (("p50_ms", "-o"), ("p99_ms", ":")):
                axes.plot(
                    sizes,
                    [point[name][share] for point in points],
                    style,
                    color=f"C{i}",
                    label=f"{name}, {'median' if share == 'p50_ms' else 'p99'}",
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("events in the store")
        axes.set_ylabel("milliseconds a call")
        axes.set_title(f"{backend}, {date}")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize="small", ncols=2)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
