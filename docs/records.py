"""Tables of the benchmark's records, made when the pages are built, by `fastconv.bench` itself.

    ```{record} record.json
    :table: layers
    ```

The tables are those of `TABLES`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from fastconv.bench import Results, Row, read
from fastconv.bench.report import clocked, count, figure, groups, milliseconds
from fastconv.bench.results import by_class, roofs, standings, summary
from fastconv.bench.workloads import CLASSES

RECORDS = Path(__file__).parents[1] / "asv_bench"

Cells = Iterable[str]


def table(headings: Cells, rows: Iterable[Cells], left: int = 1) -> str:
    """Write a table in Markdown, whose first columns are text."""
    headings = list(headings)
    rule = ["---"] * left + ["--:"] * (len(headings) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def ratio(value: float | None) -> str:
    """Write how many times as long as fastconv a peer takes."""
    return "" if value is None else f"{value:.2f}" if value >= 1 else f"**{value:.2f}**"


def by_threads(results: Results) -> dict[int, list[Row]]:
    """Sort rows by the number of threads, fewest first."""
    rows = sorted(results.rows, key=lambda row: row.threads)
    return {n: list(some) for n, some in itertools.groupby(rows, lambda row: row.threads)}


def about(results: Results) -> str:
    """Tell what was measured, when, and on what."""
    machine, config = results.machine, results.config
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [
        f"- {len(results.rows)} rows, {results.date[:10]}",
        f"- {machine['usable_cores']} cores of {machine['cpu']}, {caches}",
        f"- instruction set {config['simd']['chosen']}",
        f"- Python {machine['python']}, {versions}",
    ]
    for (threads, dtype), rows in groups(results.rows).items():
        if dtype == "float32":
            peak, memory = (figure(rate / 1e9) for rate in roofs(rows))
            lines.append(f"- {count(threads)}: {peak} GFLOP/s, {memory} GB/s of memory")
    return "\n".join(lines)


def layers(results: Results) -> str:
    """Compare each workload with its fastest peer, with one thread and with more."""
    first, *others = by_threads(results).items()
    more = {(n, row.name): row for n, rows in others for row in rows}

    def cells(row: Row) -> Cells:
        opponent = row.opponent
        yield f"{row.name}<br><small>{row.layer}</small>"
        yield f"{milliseconds(row.ours().seconds)}"
        yield f"{milliseconds(row.ours(packed=True).seconds)}"
        yield f"{opponent.label} {milliseconds(opponent.seconds)}" if opponent else ""
        yield ratio(row.ratio)
        for n, _ in others:
            yield ratio(more[n, row.name].ratio)

    headings = ["convolution", "fastconv", "packed", "fastest peer", "ratio"]
    return table((*headings, *(count(n) for n, _ in others)), map(cells, first[1]))


def classes(results: Results) -> str:
    """Sum each class up, and all of them."""

    def cells(name: str, rows: list[Row]) -> Cells:
        found = summary(rows)
        assert found
        worst = f"{found.worst.name} {ratio(found.worst.ratio)}"
        numbers = str(found.rows), ratio(found.mean), str(found.behind)
        return name, count(rows[0].threads), *numbers, worst

    lines = []
    for rows in by_threads(results).values():
        found = by_class(rows)
        lines += [cells(name, found[name]) for name in CLASSES if name in found]
        lines.append(cells("**all**", rows))
    return table(("class", "threads", "rows", "mean ratio", "behind", "worst row"), lines, left=2)


def calls(results: Results) -> str:
    """Compare each of SciPy's calls with SciPy, and with the fastest peer, with one thread."""

    def cells(row: Row) -> Cells:
        ours, scipy, opponent = row.ours(), row.of(f"SciPy {row.set}"), row.opponent
        yield f"`{row.name}`<br><small>{row.dtype}</small>"
        yield milliseconds(ours.seconds)
        yield clocked(scipy).replace("*", "\\*")
        yield f"{opponent.label} {clocked(opponent)}".replace("*", "\\*") if opponent else ""
        yield ratio(row.ratio)

    rows = next(iter(by_threads(results).values()))
    return table(("call", "fastconv", "SciPy", "fastest peer", "ratio"), map(cells, rows))


def peers(results: Results) -> str:
    """Sum SciPy's calls up for each peer."""
    rows = [
        (one.label, count(n), str(len(one.ratios)), ratio(one.mean), str(len(one.behind)))
        for n, some in by_threads(results).items()
        for one in standings(some)
    ]
    return table(("peer", "threads", "rows", "times as long", "behind"), rows, left=2)


TABLES: dict[str, Callable[[Results], str]] = {
    make.__name__: make for make in (about, layers, classes, calls, peers)
}


class Record(SphinxDirective):
    """A table of a record."""

    required_arguments = 1
    option_spec = {"table": lambda text: directives.choice(text, [*TABLES])}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Read the record, and write the table."""
        path = RECORDS / self.arguments[0]
        for file in path, Path(__file__):
            self.env.note_dependency(str(file))
        return self.parse_text_to_nodes(TABLES[self.options["table"]](read(path)))


def setup(app: Any) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("record", Record)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
