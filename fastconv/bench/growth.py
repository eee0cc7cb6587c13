"""Cost as work grows, in a picture: the set `growth`, by outputs and by channels.

What an output costs depends on the channels it sums over, so the picture has the time of a
multiply-add. Of layers with equally many channels that is the time of an output, on another scale.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fastconv.bench.report import FAINT, groups, heading
from fastconv.bench.results import Results, Row, by_class
from fastconv.bench.workloads import Workload, find

SET = "growth"
#: What stays the same while the other one grows; a row that has both belongs to both panels.
CHANNELS, OUTPUTS = 64, 10**6
#: How flat a line should be: the band around the median of each.
FLAT = 0.1


class Panel(NamedTuple):
    """One half of the picture: which rows of the set it has, and what grows along its axis."""

    title: str
    label: str
    has: Callable[[Workload], bool]
    size: Callable[[Workload], int]


PANELS = (
    Panel(
        f"{CHANNELS} channels",
        "outputs",
        lambda row: row.out_channels == CHANNELS,
        lambda row: row.outputs,
    ),
    Panel(
        f"about {OUTPUTS:.0e} outputs".replace("e+0", "e"),
        "channels in, and as many out",
        lambda row: abs(row.outputs / OUTPUTS - 1) < 0.1,
        lambda row: row.out_channels,
    ),
)


def plot(results: Results, path: Path) -> None:
    """Draw a pair of panels for each number of threads."""
    from matplotlib.figure import Figure

    found = groups([row for row in results.rows if row.set == SET])
    picture = Figure(figsize=(11, 5.4 * len(found)), layout="constrained")
    axes = picture.subplots(len(found), len(PANELS), sharey="row", squeeze=False)
    for line, (group, rows) in zip(axes, found.items(), strict=True):
        for axis, panel in zip(line, PANELS, strict=True):
            draw(axis, panel, rows)
            axis.set_title(f"{heading(*group)}, {panel.title}", loc="left", fontsize=10)
        line[0].set_ylabel("picoseconds for each multiply-add")
    title = f"fastconv {results.versions['fastconv']}: cost as work grows"
    picture.suptitle(title, x=0.01, ha="left", fontweight="bold")
    picture.savefig(path, dpi=150)


def draw(axis: Any, panel: Panel, rows: list[Row]) -> None:
    """Draw a line for each class of layers, and a dashed one for the fastest peer of each."""
    from matplotlib.ticker import LogLocator

    axis.set(xscale="log", yscale="log", xlabel=panel.label)
    timed = [row for row in rows if row.best.seconds and panel.has(find(row.name))]
    for number, (name, members) in enumerate(by_class(timed).items()):
        colour = f"C{number}"
        members = sorted(members, key=lambda row: size(panel, row))
        sizes = [size(panel, row) for row in members]
        costs = [cost(row, row.best.seconds) for row in members]
        middle = statistics.median(costs)
        label = f"{name}: {min(costs) / middle:.2f} to {max(costs) / middle:.2f} of its median"
        axis.plot(sizes, costs, "o-", color=colour, markeredgecolor="white", label=label)
        axis.axhspan(
            middle * (1 - FLAT), middle * (1 + FLAT), color=colour, alpha=0.15, linewidth=0
        )
        peers = [cost(row, row.opponent.seconds if row.opponent else None) for row in members]
        axis.plot(sizes, peers, "--", color=colour, alpha=0.6, linewidth=1)
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")
    axis.grid(color=FAINT, linewidth=0.5, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    if timed:
        axis.legend(
            title=f"band: within {FLAT:.0%} of the median; dashed: the fastest peer",
            title_fontsize=8,
            fontsize=8,
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.15),
        )


def size(panel: Panel, row: Row) -> int:
    """Tell how large a row is in what grows."""
    return panel.size(find(row.name).of_batch(row.batch))


def cost(row: Row, seconds: float | None) -> float:
    """Picoseconds for each multiply-add; NaN, which is not drawn, if there is no time."""
    return 2e12 * (float("nan") if seconds is None else seconds) / row.flops
