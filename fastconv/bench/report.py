"""What a run found, for readers: tables on a terminal, and a picture of the roofline."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fastconv.bench.namesakes import SETS
from fastconv.bench.results import (
    FASTEST,
    Contender,
    Gain,
    Results,
    Row,
    Summary,
    by_class,
    gains,
    roofs,
    standings,
    summary,
    whole,
)
from fastconv.bench.workloads import CLASSES, NETWORKS, select

NOTES = """
ms: lower quartile of a call. of the limit: the part of the time that the machine needs at least, \
for the multiply-adds at its peak or, marked m, to touch the memory once. ratio: how many times as \
long as fastconv the peer takes. ONNX Runtime, OpenVINO and ncnn, whose weights are in an order of \
their own before the call, are compared with packed weights, the others with plain ones; the peer \
shown is the one with the smaller ratio. mean: geometric mean.
"""

NOTES_ON_CALLS = """
times as long: as fastconv's call of the same name takes. behind: rows where the peer is faster. \
skipped: rows that would take the peer more than about two seconds; *: ten times as slow as \
the fastest, called once. Integers may be off by one, OpenCV's by three.
"""


def figure(value: float) -> str:
    """Write a number with three digits, without an exponent where it is of a human size."""
    return f"{float(f'{value:.3g}'):.6g}"


def groups(rows: list[Row]) -> dict[tuple[int, str], list[Row]]:
    """Sort rows by what they have in common: threads and dtype."""
    found: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.threads, row.dtype), []).append(row)
    return found


def heading(threads: int, dtype: str) -> str:
    """Name a group."""
    return f"{count(threads)}, {dtype}"


def count(threads: int) -> str:
    """Write a number of threads."""
    return f"{threads} thread{'s'[: threads > 1]}"


# ---------------------------------------------------------------- tables


def show(results: Results, console: Console, before: Results | None = None) -> None:
    """Print everything there is to say of a run, compared with an earlier one if there is one."""
    machine, config = results.machine, results.config
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    load = "" if machine["load"] is None else f"; a load of {machine['load']:.2f} before"
    cores = f"{machine['usable_cores']} cores{load}"
    console.print(f"{machine['cpu']}, {caches}, {cores}", soft_wrap=True)
    console.print(f"SIMD {config['simd']['chosen']}; {versions}\n", soft_wrap=True)
    found = groups(results.rows)
    for group, rows in found.items():
        peak, memory = roofs(rows)
        console.print(
            f"[bold]{heading(*group)}[/]: at best {figure(peak / 1e9)} GFLOP/s, "
            f"{figure(memory / 1e9)} GB/s of memory\n"
        )
        calls = [row for row in rows if row.set in SETS]
        layers = [row for row in rows if row.set not in SETS]
        tables = [table_of(layers), summary_of(layers), networks_of(layers)]
        for table in (*tables, table_of_calls(calls), standings_of(calls)):
            if table.row_count:
                console.print(table)
                console.print()
        show_behind(calls, console)
    for threads, dtype in sorted(found):
        fewest = min(number for number, other in found if other == dtype)
        if threads > fewest:
            show_gains(found[fewest, dtype], found[threads, dtype], console)
    for threads in sorted({number for number, _ in found}):
        show_standings(results, threads, console)
    console.print(NOTES.strip())
    if any(row.set in SETS for row in results.rows):
        console.print(NOTES_ON_CALLS.strip())
    for row in results.rows:
        for label in row.wrong:
            console.print(f"[bold red]{row.name}, {row.dtype}: {label} computes something else.[/]")
        for label, reason in row.failed.items():
            console.print(f"{row.name}, {row.dtype}: {label} failed. {reason}", markup=False)
    if before is not None:
        console.print()
        common = comparison_of(results, before)
        console.print(
            common if common.row_count else "No workload of this run is in the earlier one."
        )


def show_gains(fewer: list[Row], more: list[Row], console: Console) -> None:
    """Print what more threads are to each workload, to all of them, and to the machine itself."""
    compared = gains(fewer, more)
    if not compared:
        return
    few, many = fewer[0].threads, more[0].threads
    wanted = Gain.SHARE * many / few
    table = new_table(
        *("convolution", "weights", f"ms with\n{count(few)}", f"ms with\n{count(many)}"),
        *("times\nas fast", "the\nlimit"),
        left=2,
    )
    for gain in compared:
        table.add_row(
            gain.row.name,
            "packed" if gain.packed else "plain",
            milliseconds(gain.before),
            milliseconds(gain.after),
            coloured(gain.times, wanted if gain.is_long else 1),
            f"{gain.machine:.2f}",
        )
    console.print(table)
    lowest = min(compared, key=lambda gain: gain.times)
    long = [gain.times for gain in compared if gain.is_long]
    multiply, copy = (now / then for now, then in zip(roofs(more), roofs(fewer), strict=True))
    console.print(
        f"\n[bold]{count(many)}[/], times as fast as {count(few)}: "
        f"mean {statistics.geometric_mean(gain.times for gain in compared):.2f}; "
        f"lowest {lowest.times:.2f}, {lowest.row.name}; "
        f"under {wanted:.2f}: {sum(times < wanted for times in long)} of {len(long)} rows "
        f"above {milliseconds(Gain.LONG)} ms; "
        f"slower: {sum(gain.times < 1 for gain in compared)} of {len(compared)} rows. "
        f"The machine: {multiply:.2f} in multiply-adds, {copy:.2f} in copies of memory.\n"
    )


def new_table(*headings: str, left: int = 1) -> Table:
    """Lay out a table whose first columns are text, the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, text in enumerate(headings):
        table.add_column(text, justify="left" if number < left else "right", no_wrap=number >= left)
    return table


def table_of(rows: list[Row]) -> Table:
    """Give each row two lines: what it is, and how fast."""
    packed = any(row.ours(packed=True).packed for row in rows)
    ours = ["ms", "packed\nms"] if packed else ["ms"]
    what, peer = ["convolution\n[dim]method[/]"], ["fastest peer", "ms", "ratio"]
    table = new_table(*what, *ours, "GFLOP/s", "of the\nlimit", *peer)
    table.columns[-3].justify = "left"
    for row in rows:
        times = [row.ours(packed=choice) for choice in (False, True)[: len(ours)]]
        opponent, bound = row.opponent, " " if row.flops / row.peak >= row.limit else "m"
        table.add_row(
            f"[bold]{row.name}[/]\n[dim]{row.layer}: {row.method}[/]",
            *(milliseconds(one.seconds) for one in times),
            figure(row.gflops),
            f"{row.share:.0%}{bound}",
            opponent.label if opponent else "",
            milliseconds(opponent.seconds) if opponent else "",
            coloured(row.ratio),
        )
    return table


def table_of_calls(rows: list[Row]) -> Table:
    """Give each of SciPy's calls a line: ours, SciPy's, and the fastest peer's time."""
    table = new_table(
        *("call", "ms", "SciPy\nms", "times\nas long"), *("fastest peer", "ms", "ratio")
    )
    table.columns[-3].justify = "left"
    for row in rows:
        ours, opponent = row.ours().seconds, row.opponent
        scipy = row.of(f"SciPy {row.set}")
        times = scipy.seconds / ours if scipy and scipy.seconds and ours else None
        table.add_row(
            row.name,
            milliseconds(ours),
            *(clocked(scipy), coloured(times)),
            *(opponent.label if opponent else "", clocked(opponent), coloured(row.ratio)),
        )
    return table


def clocked(one: Contender | None) -> str:
    """Write the time of a peer, marked if it was called but once."""
    if one is None:
        return ""
    return milliseconds(one.seconds) + "*" * (one.turns == 1)


def standings_of(rows: list[Row]) -> Table:
    """Sum SciPy's calls up for each peer."""
    table = new_table("peer", "rows", "skipped", "times as long\n(mean)", "behind", "worst", "")
    table.columns[-1].justify, table.columns[-1].no_wrap = "left", False
    for one in standings(rows):
        lowest, worst = one.ratios[0]
        table.add_row(
            one.label,
            *(str(len(one.ratios)), str(one.skipped or ""), coloured(one.mean)),
            *(str(len(one.behind) or ""), coloured(lowest), worst.name),
        )
    return table


def show_behind(rows: list[Row], console: Console) -> None:
    """Name SciPy's calls that some peer is faster at."""
    behind = [one.behind for one in standings(rows) if one.label == FASTEST]
    for ratio, row in behind[0] if behind else []:
        peer = row.opponent.label if row.opponent else ""
        console.print(f"behind {peer} ({ratio:.2f}): {row.name}", markup=False, soft_wrap=True)
    if rows:
        console.print()


def show_standings(results: Results, threads: int, console: Console) -> None:
    """Sum SciPy's calls up over all dtypes, if there are several."""
    rows = [row for row in results.rows if row.threads == threads and row.set in SETS]
    if len({row.dtype for row in rows}) > 1:
        console.print(f"[bold]{count(threads)}[/], SciPy's calls in all dtypes\n")
        console.print(standings_of(rows))
        console.print()


def milliseconds(seconds: float | None) -> str:
    """Write a time."""
    return "wrong" if seconds is None else figure(1e3 * seconds)


def coloured(ratio: float | None, wanted: float = 1) -> str:
    """Write a ratio, red if it is less than wanted: by default, if the peer is ahead."""
    if ratio is None:
        return ""
    return f"[{'green' if ratio >= wanted else 'bold red'}]{ratio:.2f}[/]"


def summary_of(rows: list[Row]) -> Table:
    """Sum each class up, and all of them."""
    table = new_table("class", "rows", "mean\nratio", "behind", "worst", "worst row")
    table.columns[-1].justify, table.columns[-1].no_wrap = "left", False

    def add(name: str, found: Summary | None) -> None:
        if found:
            worst = coloured(found.worst.ratio)
            behind = str(found.behind or "")
            table.add_row(
                name, str(found.rows), coloured(found.mean), behind, worst, found.worst.name
            )

    classes = by_class(rows)
    for name in sorted(classes, key=list(CLASSES).index):
        add(name, summary(classes[name]))
    if len(classes) > 1:
        add("[bold]all[/]", summary(rows))
    return table


def networks_of(rows: list[Row]) -> Table:
    """Sum up the networks that were measured completely."""
    table = new_table("whole network", "ms", "of the\nlimit", "fastest peer", "ms", "ratio")
    table.columns[-3].justify = "left"
    for network in NETWORKS:
        layers = [row for row in rows if row.set == network]
        if len(layers) < len(select([network])):
            continue
        row = whole(network, layers)
        limit = sum(layer.count * layer.limit for layer in layers)
        seconds, opponent = row.best.seconds, row.opponent
        table.add_row(
            network,
            milliseconds(seconds),
            f"{limit / seconds:.0%}" if seconds else "",
            opponent.label if opponent else "",
            milliseconds(opponent.seconds) if opponent else "",
            coloured(row.ratio),
        )
    return table


def comparison_of(results: Results, before: Results) -> Table:
    """Compare the rows that both runs have."""
    table = new_table(
        f"since {before.date}", "threads", "ms before", "ms now", "times as\nfast", "ratio\nbefore",
        "ratio\nnow",
    )  # fmt: skip
    earlier = {row.key: row for row in before.rows}
    changes = []
    for row in results.rows:
        old = earlier.get(row.key)
        if old is None or None in (old.best.seconds, row.best.seconds):
            continue
        changes.append(row.gflops / old.gflops)
        table.add_row(
            row.name,
            str(row.threads),
            milliseconds(old.best.seconds),
            milliseconds(row.best.seconds),
            coloured(changes[-1]),
            coloured(old.ratio),
            coloured(row.ratio),
        )
    if changes:
        mean = statistics.geometric_mean(changes)
        table.add_row(f"[bold]mean of {len(changes)}[/]", "", "", "", coloured(mean), "", "")
    return table


# ---------------------------------------------------------------- the picture

INK, FAINT = "#23211d", "#b8b3a8"


def plot(results: Results, path: Path) -> None:
    """Draw the roofline of each number of threads: what each row did under what can be done."""
    from matplotlib.figure import Figure

    found = groups(results.rows)
    picture = Figure(figsize=(9, 6.5 * len(found)), layout="constrained")
    axes = picture.subplots(len(found), squeeze=False)[:, 0]
    for axis, (group, rows) in zip(axes, found.items(), strict=True):
        draw(axis, rows)
        axis.set_title(f"{heading(*group)}, {results.machine['cpu']}", loc="left", fontsize=10)
    title = f"fastconv {results.versions['fastconv']} under the roofs of the machine"
    picture.suptitle(title, x=0.01, ha="left", fontweight="bold")
    picture.savefig(path, dpi=150)


def draw(axis: Any, rows: list[Row]) -> None:
    """Draw one roofline: a point is a row, and a line leads from it to the fastest peer."""
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="operations for each byte of input, weights and output",
        ylabel="GFLOP/s",
    )
    looks = class_looks()
    order = [*looks]
    for name, members in sorted(by_class(rows).items(), key=lambda item: -order.index(item[0])):
        colour, marker = looks[name]
        for row in members:
            if (opponent := row.opponent) and opponent.seconds:
                speeds = row.gflops, row.flops / opponent.seconds / 1e9
                axis.plot([intensity(row)] * 2, speeds, color=colour, alpha=0.4, linewidth=1)
        where = [intensity(row) for row in members], [row.gflops for row in members]
        axis.plot(*where, marker, color=colour, markeredgecolor="white", label=name, zorder=3)

    peak, memory = (rate / 1e9 for rate in roofs(rows))
    ridge = peak / memory
    intensities = [ridge, *map(intensity, rows)]
    left, right = min(intensities) / 2, max(intensities) * 2
    axis.set_xlim(left, right)
    axis.plot([left, ridge, right], [left * memory, peak, peak], color=INK, linewidth=1.5)
    text = {"color": INK, "fontsize": 9}
    axis.text(right, peak * 1.05, f"{figure(peak)} GFLOP/s", ha="right", **text)
    axis.text(
        left * 1.1,
        left * 1.1 * memory * 1.1,
        f"{figure(memory)} GB/s from memory",
        rotation=math.degrees(math.atan(memory)),
        rotation_mode="anchor",
        transform_rotates_text=True,
        **text,
    )
    for scale in axis.xaxis, axis.yaxis:
        scale.set_major_formatter("{x:g}")
    axis.grid(color=FAINT, linewidth=0.5, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(
        title="line: to the fastest peer",
        title_fontsize=8,
        fontsize=8,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )


def intensity(row: Row) -> float:
    """Operations for each byte that must be touched."""
    return row.flops / row.bytes


def class_looks() -> dict[str, tuple[Any, str]]:
    """Give each class a colour and a marker; the last ones, the commonest, circles."""
    from matplotlib import colormaps

    colours = [colormaps["tab10"](i) for i in range(10)]
    looks = [(colour, marker) for marker in "oD" for colour in colours]
    return dict(zip((*reversed(CLASSES), *SETS), looks, strict=False))
