"""The command line: `python -m fastconv demo`, `bench` and `info`."""

import argparse
import math
import sys
from pathlib import Path

import fastconv

SIZES = range(64, 2049)


def _size(text: str) -> int:
    """Read the value of ``--size``: a number of pixels the demonstration can work with."""
    if not text.isdecimal() or int(text) not in SIZES:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of pixels from {SIZES[0]} to {SIZES[-1]}, got {text!r}"
        )
    return int(text)


def _positive(text: str) -> int:
    """Read a number of threads or images."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    """Read the value of ``--seconds``."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return seconds


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fastconv", description="Every convolution, fast."
    )
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="run every convolution type on a photograph, check it and picture it",
        description="Run every convolution type on a photograph, check each against "
        "scipy.signal.correlate, print a table and write one picture. "
        "The exit status is 1 if a check fails.",
    )
    demo.add_argument(
        "photo", nargs="?", type=Path, metavar="PHOTO", help="default: one that scikit-learn ships"
    )
    demo.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("fastconv-demo.png"),
        metavar="OUT",
        help="the picture to write, in the format of its suffix (default: %(default)s)",
    )
    demo.add_argument(
        "--size",
        type=_size,
        default=640,
        metavar="N",
        help="pixels along the photograph's longer side (default: %(default)s)",
    )
    _add_bench(
        commands.add_parser(
            "bench",
            help="time workloads beside the machine's limits and beside other libraries",
            description="Time layers of networks and filters beside the machine's limits and "
            "beside the libraries that are installed, and compare all outputs. "
            "The exit status is 1 if one of them is wrong.",
        )
    )
    commands.add_parser("info", help="print version, SIMD level, OpenMP, threads and compiler")
    return parser


def _add_bench(bench: argparse.ArgumentParser) -> None:
    """Describe the options of the benchmark."""
    bench.add_argument("--list", action="store_true", help="list the sets and the peers, and end")
    bench.add_argument(
        "--set",
        nargs="+",
        default=["quick"],
        dest="sets",
        metavar="NAME",
        help="which workloads: networks, classes, quick, all; signal, ndimage, scipy-quick: "
        "the calls that SciPy has by the same name (default: quick)",
    )
    bench.add_argument(
        "--name", default="", metavar="TEXT", help="only those with TEXT in the name"
    )
    bench.add_argument(
        "--threads",
        nargs="+",
        type=_positive,
        default=[1],
        metavar="N",
        help="numbers of threads, a run for each (default: 1)",
    )
    bench.add_argument(
        "--dtype",
        nargs="+",
        choices=("float32", "float64", "uint8", "int16", "complex64"),
        help="what to compute in (default: layers in float32, SciPy's calls in all)",
    )
    bench.add_argument(
        "--batch", type=_positive, metavar="N", help="images at a time (default: the workload's)"
    )
    bench.add_argument(
        "--peers",
        nargs="*",
        metavar="NAME",
        help="which peers (default: all that are installed), or which of fastconv's own methods: "
        "direct, winograd, fft",
    )
    bench.add_argument(
        "--seconds",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="time for a workload, all contenders together (default: %(default)g)",
    )
    bench.add_argument("--output", type=Path, metavar="JSON", help="write a record of the run")
    bench.add_argument(
        "--plot", type=Path, metavar="PICTURE", help="draw the roofline, as .png, .svg or .pdf"
    )
    bench.add_argument(
        "--growth",
        type=Path,
        metavar="PICTURE",
        help="draw the cost of a multiply-add as work grows, of --set growth",
    )
    bench.add_argument(
        "--compare", type=Path, metavar="JSON", help="compare with the record of an earlier run"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "info":
        fastconv.show_config()
        return 0
    try:
        if options.command == "bench":
            return _bench(parser, options)
        return _demo(parser, options)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        extra = f'pip install "fastconv[{options.command}]"'
        parser.exit(2, f"The module {missing} is missing: {extra}\n")


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from fastconv import demo

    try:
        return demo.run(options.photo, options.output, options.size)
    except demo.DemoError as error:
        parser.exit(2, f"{error}\n")


def _bench(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from fastconv.bench import command

    try:
        return command.main(options)
    except command.BenchError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    sys.exit(main())
