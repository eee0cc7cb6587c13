"""`python -m fastconv bench`: runs, shows progress, and puts the results where they belong."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fastconv import bench
from fastconv.bench import growth, report
from fastconv.bench.methods import KEYS
from fastconv.bench.namesakes import SETS
from fastconv.bench.peers import PEERS
from fastconv.bench.results import RecordError, Results, read
from fastconv.bench.workloads import CLASSES, members, select


class BenchError(Exception):
    """The benchmark cannot be run: the message says why, and what would help."""


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Returns
    -------
    int
        The exit status: 0, or 1 if a contender computed something wrong, or 130 if interrupted.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 110)  # tables in a file need not fit a screen
    if options.list:
        show_sets(console)
        return 0
    for path in filter(None, (options.output, options.plot, options.growth)):
        check_writable(path)
    for path in filter(None, (options.plot, options.growth)):
        check_format(path)
    try:
        if options.growth:
            check_growth(options)
        before = read(options.compare) if options.compare else None
        results, complete = measure(options)
    except (ValueError, RecordError) as problem:
        raise BenchError(str(problem)) from None
    report.show(results, console, before)
    if options.output:
        console.print(f"The record is in {options.output}.", markup=False, soft_wrap=True)
    if options.plot:
        report.plot(results, options.plot)
        console.print(f"The roofline is in {options.plot}.", markup=False, soft_wrap=True)
    if options.growth:
        growth.plot(results, options.growth)
        console.print(f"Cost as work grows is in {options.growth}.", markup=False, soft_wrap=True)
    if not complete:
        console.print("[bold red]Interrupted: these are the workloads so far.[/]")
        return 130
    return 1 if any(row.wrong for row in results.rows) else 0


def measure(options: argparse.Namespace) -> tuple[Results, bool]:
    """Run; the results, and whether they are complete: what was measured is never lost."""
    latest: list[Results] = []
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(
        *columns,
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        auto_refresh=False,  # between the workloads only: drawing would disturb the timing
    ) as progress:
        task = progress.add_task("")

        def step(results: Results, total: int, following: str) -> None:
            latest[:] = [results]
            done = len(results.rows)
            progress.update(task, total=total, completed=done, description=following, refresh=True)
            if options.output and done:
                results.write(options.output)

        try:
            results = bench.run(
                options.sets,
                containing=options.name,
                threads=options.threads,
                dtype=options.dtype,
                batch=options.batch,
                peers=options.peers,
                seconds=options.seconds,
                progress=step,
            )
        except KeyboardInterrupt:
            if not latest or not latest[0].rows:
                raise
            return latest[0], False
    return results, True


def check_writable(path: Path) -> None:
    """Fail early, not after the work, if a file cannot be written."""
    if path.is_dir():
        raise BenchError(f"cannot write {path}: it is a directory")
    if not path.parent.is_dir():
        raise BenchError(f"cannot write {path}: there is no directory {path.parent}")


def check_format(path: Path) -> None:
    """Fail early if there is no such picture, or nothing to draw it."""
    from matplotlib.figure import Figure

    if path.suffix[1:].lower() not in Figure().canvas.get_supported_filetypes():
        raise BenchError(f"cannot write {path}: no picture has {path.suffix!r}, try .png or .svg")


def check_growth(options: argparse.Namespace) -> None:
    """Fail early if there will be nothing that grows."""
    if not any(row.set == growth.SET for row in select(options.sets, options.name)):
        raise BenchError(f"--growth draws what --set {growth.SET} measures: add it")


def show_sets(console: Console) -> None:
    """List the sets of workloads, and the peers."""
    table = report.new_table("set", "workloads", "")
    table.columns[-1].justify = "left"
    about = {"quick": "some that everybody knows", "all": "all of them"}
    about[growth.SET] = "layers of more and more outputs, or channels"
    about |= {name: text for name, (text, _) in CLASSES.items()}
    about |= {name: f"calls of fastconv.{name}, beside those of scipy.{name}" for name in SETS}
    about["scipy"] = "both of these, which are not in all"
    about["scipy-quick"] = "some of both that everybody knows"
    for name, count in members().items():
        table.add_row(name, str(count), about.get(name, ""))
    console.print(table)
    table = report.new_table("peer", "", "version", left=3)
    for kind in PEERS:
        try:
            version = kind().version
        except ImportError:
            version = "not installed"
        table.add_row(kind.key, kind.label, version)
    for key in KEYS:
        table.add_row(key, "a method of fastconv", "if named")
    console.print()
    console.print(table)
