"""The command line: `python -m fastconv demo` and `python -m fastconv info`."""

import argparse
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
    commands.add_parser("info", help="print version, SIMD level, OpenMP, threads and compiler")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "info":
        fastconv.show_config()
        return 0
    try:
        from fastconv import demo
    except ModuleNotFoundError as error:
        parser.exit(2, f'The module {error.name} is missing: pip install "fastconv[demo]"\n')
    try:
        return demo.run(options.photo, options.output, options.size)
    except demo.DemoError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    sys.exit(main())
