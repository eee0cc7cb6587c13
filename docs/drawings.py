"""The drawings of the pages, made when the pages are built: one function each.

    ```{drawing} strided
    What the reader should see.
    ```

puts the drawing there twice, for a light and for a dark page. The docstring of its function is the
text that stands for it where no pictures are shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from docutils import nodes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle
from sphinx.util.docutils import SphinxDirective

#: Where the pictures are written, below the folder of the pages.
FOLDER = "drawn"
#: Inches of a cell.
CELL = 0.3
#: What a cell may be. Those after "edge" are: read, written, and of a second and third kind.
THEMES = {
    "light": {
        "ink": "#23211d", "faint": "#8a8578", "cell": "#f3f1ec", "edge": "#b8b3a8",
        "read": "#f6b26b", "written": "#6aa6d8", "second": "#93c47d", "third": "#c9a0dc",
        "on": "#23211d",
    },
    "dark": {
        "ink": "#e8e6e1", "faint": "#9c978b", "cell": "#262a30", "edge": "#5c6169",
        "read": "#d98a35", "written": "#4f93cc", "second": "#6fa85a", "third": "#a97cc4",
        "on": "#14181e",
    },
}  # fmt: skip

Marks = dict[tuple[int, int], str]
Labels = dict[tuple[int, int], Any]


class Grid(NamedTuple):
    """Cells that were drawn: the corner above and left, the numbers of cells, the size of one."""

    left: float
    top: float
    rows: int
    columns: int
    size: float

    def at(self, row: float, column: float) -> tuple[float, float]:
        """Give the middle of a cell."""
        return self.left + (column + 0.5) * self.size, self.top + (row + 0.5) * self.size

    @property
    def right(self) -> float:
        """Where the cells end."""
        return self.left + self.columns * self.size

    @property
    def bottom(self) -> float:
        """Where the cells end, below."""
        return self.top + self.rows * self.size

    @property
    def middle(self) -> float:
        """Half way down."""
        return (self.top + self.bottom) / 2


class Sheet:
    """A sheet to draw on; its unit is a cell, and y points down."""

    def __init__(self, width: float, height: float, theme: str) -> None:
        self.colours = THEMES[theme]
        self.figure = Figure(figsize=(width * CELL, height * CELL), facecolor="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def grid(
        self,
        left: float,
        top: float,
        rows: int,
        columns: int,
        marks: Marks | None = None,
        labels: Labels | None = None,
        *,
        size: float = 1,
        border: int = 0,
    ) -> Grid:
        """Draw cells, the outermost `border` of them as padding."""
        made = Grid(left, top, rows, columns, size)
        marks, labels = marks or {}, labels or {}
        for row, column in itertools.product(range(rows), range(columns)):
            inside = border <= row < rows - border and border <= column < columns - border
            kind = marks.get((row, column), "cell" if inside else None)
            self.axes.add_patch(
                Rectangle(
                    (left + column * size, top + row * size), size, size,
                    facecolor=self.colours[kind] if kind else "none",
                    edgecolor=self.colours["edge"],
                    linestyle="-" if inside else (0, (2, 2)),
                    linewidth=0.8,
                )
            )  # fmt: skip
            if (row, column) in labels:
                plain = kind in (None, "cell")
                self.text(*made.at(row, column), labels[row, column], "ink" if plain else "on")
        return made

    def text(
        self, x: float, y: float, text: Any, colour: str = "ink", *, size: float = 8, **more: Any
    ) -> None:
        """Write, around a point if nothing else is said."""
        look = {"ha": "center", "va": "center_baseline"} | more
        self.axes.text(x, y, str(text), color=self.colours[colour], fontsize=size, **look)

    def title(self, grid: Grid, text: str) -> None:
        """Write under a grid what it is."""
        x = (grid.left + grid.right) / 2
        self.text(x, grid.bottom + 0.35, text, "faint", va="top")

    def frame(self, grid: Grid, row: int, column: int, rows: int, columns: int, kind: str) -> None:
        """Draw a line around some cells."""
        corner = grid.left + column * grid.size, grid.top + row * grid.size
        shape = Rectangle(corner, columns * grid.size, rows * grid.size)
        shape.set(facecolor="none", edgecolor=self.colours[kind], linewidth=2, zorder=3)
        self.axes.add_patch(shape)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], kind: str = "faint"
    ) -> None:
        """Draw an arrow."""
        self.axes.add_patch(
            ConnectionPatch(
                start, end, "data", arrowstyle="-|>", mutation_scale=8, linewidth=1,
                color=self.colours[kind], zorder=4,
            )
        )  # fmt: skip


def block(top: int, left: int, rows: int, columns: int, kind: str, step: int = 1) -> Marks:
    """Mark some cells of a grid, a step apart."""
    return {
        (top + row * step, left + column * step): kind
        for row in range(rows)
        for column in range(columns)
    }


# ---- A plane, a kernel, a plane


def plain(theme: str) -> Sheet:
    """Nine cells of the input, times the nine of the kernel, add up to one of the output."""
    sheet = Sheet(15, 6.4, theme)
    source = sheet.grid(0.2, 0.2, 5, 5, block(1, 2, 3, 3, "read"))
    taps = {(row, column): f"{row}{column}" for row in range(3) for column in range(3)}
    kernel = sheet.grid(6.6, 1.2, 3, 3, block(0, 0, 3, 3, "second"), taps)
    result = sheet.grid(11.8, 1.2, 3, 3, {(1, 2): "written"})
    sheet.text(5.9, source.middle, "×", size=13)
    sheet.arrow((kernel.right + 0.3, kernel.middle), (result.left - 0.3, result.middle))
    sheet.text((kernel.right + result.left) / 2, kernel.middle - 0.6, "sum")
    for grid, text in (source, "input"), (kernel, "kernel"), (result, "output"):
        sheet.title(grid, text)
    return sheet


def strided(theme: str) -> Sheet:
    """With stride 2 the kernel moves two cells on for the next output."""
    sheet = Sheet(15, 8.4, theme)
    source = sheet.grid(0.2, 0.2, 7, 7, block(0, 0, 3, 3, "read"))
    sheet.frame(source, 0, 2, 3, 3, "third")
    sheet.frame(source, 2, 0, 3, 3, "second")
    result = sheet.grid(11.2, 2.2, 3, 3, {(0, 0): "written", (0, 1): "third", (1, 0): "second"})
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input")
    sheet.title(result, "output")
    return sheet


def padded(theme: str) -> Sheet:
    """With a ring of zeros around it the output is as large as the input."""
    sheet = Sheet(14.5, 7.6, theme)
    zeros = {
        (row, column): 0
        for row in range(6)
        for column in range(6)
        if row in (0, 5) or column in (0, 5)
    }
    source = sheet.grid(0.2, 0.2, 6, 6, block(0, 0, 3, 3, "read"), zeros, border=1)
    result = sheet.grid(10.2, 1.2, 4, 4, {(0, 0): "written"})
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input, padding 1")
    sheet.title(result, "output")
    return sheet


def borders(theme: str) -> Sheet:
    """What the padding of a b c d holds in each of the five modes."""
    rows = {
        "zeros": "000abcd000",
        "reflect": "dcbabcdcba",
        "replicate": "aaaabcdddd",
        "circular": "bcdabcdabc",
        "symmetric": "cbaabcddcb",
    }
    sheet = Sheet(14.6, 6.9, theme)
    for number, (name, letters) in enumerate(rows.items()):
        top = 0.2 + 1.35 * number
        sheet.text(0.1, top + 0.5, name, ha="left", family="monospace")
        marks = {(0, column): "read" for column in range(3, 7)}
        sheet.grid(4.4, top, 1, 10, marks, {(0, i): text for i, text in enumerate(letters)})
    return sheet


def dilated(theme: str) -> Sheet:
    """With dilation 2 the nine cells that are read are two apart."""
    sheet = Sheet(15, 8.4, theme)
    source = sheet.grid(0.2, 0.2, 7, 7, block(1, 1, 3, 3, "read", step=2))
    sheet.frame(source, 1, 1, 5, 5, "read")
    result = sheet.grid(11.2, 2.2, 3, 3, {(1, 1): "written"})
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input")
    sheet.title(result, "output")
    return sheet


def transposed(theme: str) -> Sheet:
    """A cell of the input, times the kernel, is added to nine cells of the output."""
    sheet = Sheet(15, 8.4, theme)
    source = sheet.grid(0.2, 2.2, 3, 3, {(0, 0): "second", (1, 1): "read"})
    result = sheet.grid(7.2, 0.2, 7, 7, block(2, 2, 3, 3, "written"))
    sheet.frame(result, 0, 0, 3, 3, "second")
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input")
    sheet.title(result, "output, stride 2")
    return sheet


def crossed(theme: str) -> Sheet:
    """A column and a row of the input, each with a kernel of its own, add up to one output."""
    sheet = Sheet(14.5, 6.4, theme)
    marks = block(1, 2, 3, 1, "read") | block(2, 1, 1, 3, "second") | {(2, 2): "third"}
    source = sheet.grid(0.2, 0.2, 5, 5, marks)
    result = sheet.grid(9.2, 0.2, 5, 5, {(2, 2): "written"})
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input")
    sheet.title(result, "output")
    return sheet


def outer(theme: str) -> Sheet:
    """A column of weights times a row of weights is a kernel; two passes do the same."""
    sheet = Sheet(15.6, 4.2, theme)
    column, row = (1, 2, 1), (-1, 0, 1)
    down = {(i, 0): weight for i, weight in enumerate(column)}
    across = {(0, j): weight for j, weight in enumerate(row)}
    product = {(i, j): v * h for i, v in enumerate(column) for j, h in enumerate(row)}
    small = {"size": 0.75}
    grids = [
        sheet.grid(0.8, 0.6, 3, 1, block(0, 0, 3, 1, "second"), down, **small),
        sheet.grid(2.4, 1.35, 1, 3, block(0, 0, 1, 3, "third"), across, **small),
        sheet.grid(5.5, 0.6, 3, 3, block(0, 0, 3, 3, "read"), product, **small),
        sheet.grid(9.8, 0.6, 3, 3, block(0, 1, 3, 1, "second"), **small),
        sheet.grid(13.2, 0.6, 3, 3, block(1, 0, 1, 3, "third"), **small),
    ]
    for number, sign in (0, "×"), (1, "="):
        x = (grids[number].right + grids[number + 1].left) / 2
        sheet.text(x, grids[0].middle, sign, size=13)
    sheet.arrow((grids[3].right + 0.2, grids[3].middle), (grids[4].left - 0.2, grids[4].middle))
    texts = "column", "row", "kernel", "first pass", "second pass"
    caption(sheet, [[grid] for grid in grids], texts)
    return sheet


# ---- Channels


#: Cells of a channel's plane along each side, their size, and from one plane to the next.
SIDE, SMALL, PITCH = 3, 0.6, 2.4


def planes(
    sheet: Sheet, left: float, count: int, of: int, marks: Callable[[int], Marks]
) -> list[Grid]:
    """Draw channels one below the other, in the middle of as many as the sheet has at most."""
    top = 0.2 + (of - count) * PITCH / 2
    return [
        sheet.grid(left, top + number * PITCH, SIDE, SIDE, marks(number), size=SMALL)
        for number in range(count)
    ]


def connect(
    sheet: Sheet, before: list[Grid], after: list[Grid], pairs: Iterable[tuple[int, int, str]]
) -> None:
    """Draw an arrow from channel to channel."""
    for source, target, kind in pairs:
        start, end = before[source], after[target]
        sheet.arrow((start.right + 0.15, start.middle), (end.left - 0.15, end.middle), kind)


def caption(sheet: Sheet, stages: list[list[Grid]], texts: Iterable[str]) -> None:
    """Write under each column of channels what it is."""
    bottom = max(grids[-1].bottom for grids in stages)
    for grids, text in zip(stages, texts, strict=True):
        x = (grids[0].left + grids[0].right) / 2
        sheet.text(x, bottom + 0.4, text, "faint", va="top")


def window(kind: str) -> Callable[[int], Marks]:
    """Mark all of a plane."""
    return lambda _: block(0, 0, SIDE, SIDE, kind)


def centre(kind: str) -> Callable[[int], Marks]:
    """Mark the cell in the middle."""
    return lambda _: {(1, 1): kind}


GROUPS = "read", "second"


def all_channels(theme: str, seen: Callable[[int], Marks]) -> Sheet:
    """Every output channel sees the same of every input channel."""
    sheet = Sheet(11, 8.6, theme)
    before = planes(sheet, 1.2, 3, 3, seen)
    after = planes(sheet, 8, 2, 3, centre("written"))
    connect(sheet, before, after, ((c, m, "faint") for c in range(3) for m in range(2)))
    caption(sheet, [before, after], ["input channels", "output channels"])
    return sheet


def dense(theme: str) -> Sheet:
    """Every output channel sees a window of every input channel."""
    return all_channels(theme, window("read"))


def pointwise(theme: str) -> Sheet:
    """Every output channel sees one cell of every input channel, at its own position."""
    return all_channels(theme, centre("read"))


def depthwise(theme: str) -> Sheet:
    """Every output channel sees a window of one input channel; here there are two for each."""
    sheet = Sheet(11, 11, theme)
    before = planes(sheet, 1.2, 2, 4, lambda c: block(0, 0, SIDE, SIDE, GROUPS[c]))
    after = planes(sheet, 8, 4, 4, lambda m: {(1, 1): GROUPS[m // 2]})
    connect(sheet, before, after, ((m // 2, m, GROUPS[m // 2]) for m in range(4)))
    caption(sheet, [before, after], ["input channels", "output channels"])
    return sheet


def grouped(theme: str) -> Sheet:
    """The output channels of a group see the input channels of that group only."""
    sheet = Sheet(11, 11, theme)
    before = planes(sheet, 1.2, 4, 4, lambda c: block(0, 0, SIDE, SIDE, GROUPS[c // 2]))
    after = planes(sheet, 8, 4, 4, lambda m: {(1, 1): GROUPS[m // 2]})
    pairs = ((2 * g + c, 2 * g + m, GROUPS[g]) for g in (0, 1) for c in (0, 1) for m in (0, 1))
    connect(sheet, before, after, pairs)
    caption(sheet, [before, after], ["input channels", "output channels"])
    return sheet


def shuffled(theme: str) -> Sheet:
    """After a grouped convolution the channels of both groups are stored in turns."""
    sheet = Sheet(13.2, 11, theme)
    before = planes(sheet, 1.2, 4, 4, lambda c: block(0, 0, SIDE, SIDE, GROUPS[c // 2]))
    between = planes(sheet, 5.7, 4, 4, lambda m: {(1, 1): GROUPS[m // 2]})
    after = planes(sheet, 10.2, 4, 4, lambda m: {(1, 1): GROUPS[m % 2]})
    pairs = ((2 * g + c, 2 * g + m, GROUPS[g]) for g in (0, 1) for c in (0, 1) for m in (0, 1))
    connect(sheet, before, between, pairs)
    connect(
        sheet, between, after, ((2 * g + m, 2 * m + g, GROUPS[g]) for g in (0, 1) for m in (0, 1))
    )
    caption(sheet, [before, between, after], ["input", "two groups", "shuffled"])
    return sheet


def separable(theme: str) -> Sheet:
    """A window of each channel by itself, then at each position a map of all channels."""
    sheet = Sheet(13.2, 8.6, theme)
    before = planes(sheet, 1.2, 3, 3, window("read"))
    between = planes(sheet, 5.7, 3, 3, centre("second"))
    after = planes(sheet, 10.2, 2, 3, centre("written"))
    connect(sheet, before, between, ((c, c, "faint") for c in range(3)))
    connect(sheet, between, after, ((c, m, "faint") for c in range(3) for m in range(2)))
    caption(sheet, [before, between, after], ["input", "depthwise", "pointwise"])
    return sheet


def flattened(theme: str) -> Sheet:
    """Across the channels, then down, then along: three lines for each filter."""
    sheet = Sheet(15.6, 8.6, theme)
    before = planes(sheet, 1.2, 3, 3, window("read"))
    lateral = planes(sheet, 5, 2, 3, window("second"))
    vertical = planes(sheet, 8.8, 2, 3, lambda _: block(1, 0, 1, 3, "third"))
    after = planes(sheet, 12.6, 2, 3, centre("written"))
    connect(sheet, before, lateral, ((c, m, "faint") for c in range(3) for m in range(2)))
    for first, then in (lateral, vertical), (vertical, after):
        connect(sheet, first, then, ((m, m, "faint") for m in range(2)))
    texts = "input", "lateral", "vertical", "horizontal"
    caption(sheet, [before, lateral, vertical, after], texts)
    return sheet


# ---- How it works


def tiles(theme: str) -> Sheet:
    """The output is cut into tiles; each is computed from the input that it sees."""
    sheet = Sheet(17, 9.6, theme)
    source = sheet.grid(0.2, 0.2, 8, 8, block(3, 3, 5, 5, "read"), border=1)
    result = sheet.grid(10.6, 1.2, 6, 6, block(3, 3, 3, 3, "written"))
    for row, column in itertools.product((0, 3), repeat=2):
        sheet.frame(result, row, column, 3, 3, "ink")
    sheet.arrow((source.right + 0.6, source.middle), (result.left - 0.6, result.middle))
    sheet.title(source, "input, padding 1")
    sheet.title(result, "output, four tiles")
    return sheet


def phases(theme: str) -> Sheet:
    """Even and odd elements apart, each tap of a stride of 2 reads neighbours."""
    sheet = Sheet(13, 7.4, theme)
    kinds = ["read", "second"] * 5
    marks = {(0, i): kinds[i] for i in range(9)}
    line = sheet.grid(2, 0.3, 1, 9, marks, {(0, i): i for i in range(9)})
    even = sheet.grid(0.4, 4.2, 1, 5, block(0, 0, 1, 5, "read"), {(0, i): 2 * i for i in range(5)})
    odd = sheet.grid(
        7.4, 4.2, 1, 4, block(0, 0, 1, 4, "second"), {(0, i): 2 * i + 1 for i in range(4)}
    )
    for part, kind in (even, "read"), (odd, "second"):
        sheet.arrow((6.5, line.bottom + 0.9), ((part.left + part.right) / 2, part.top - 0.3), kind)
        sheet.frame(part, 0, 0, 1, 4, "ink")
    sheet.text(6.5, line.bottom + 0.5, "a row of the input", "faint")
    sheet.text(2.4, even.bottom + 0.5, "what tap 0 reads", "faint")
    sheet.text(9.4, odd.bottom + 0.5, "what tap 1 reads", "faint")
    sheet.text(6.5, even.bottom + 1.6, "the scratch", "faint")
    return sheet


def multiply(theme: str) -> Sheet:
    """Weights of some channels times vectors of positions are added to sums in registers."""
    sheet = Sheet(15.4, 8, theme)
    names = {(m, 0): f"w{m}" for m in range(4)}
    weights = sheet.grid(1.4, 2.6, 4, 1, block(0, 0, 4, 1, "second"), names)
    vectors = sheet.grid(3.2, 1, 1, 12, block(0, 0, 1, 12, "read"))
    sums = sheet.grid(3.2, 2.6, 4, 12, block(0, 0, 4, 12, "written"))
    for grid, column in itertools.product((vectors, sums), range(0, 12, 4)):
        for row in range(grid.rows):
            sheet.frame(grid, row, column, 1, 4, "ink")
    sheet.text((sums.left + sums.right) / 2, 0.5, "load three vectors of positions", "faint")
    sheet.text(0.7, weights.middle, "broadcast a weight", "faint", rotation=90, va="center")
    text = "multiply, and add to twelve sums in registers"
    sheet.text((sums.left + sums.right) / 2, sums.bottom + 0.6, text, "faint")
    return sheet


def winograd(theme: str) -> Sheet:
    """Six by six inputs, transformed, times the transformed kernel, transformed back: 4 x 4."""
    sheet = Sheet(15, 5.4, theme)
    kinds = {
        "6 x 6 inputs": (6, "read"),
        "36 products": (6, "second"),
        "4 x 4 outputs": (4, "written"),
    }
    grids: list[Grid] = []
    for number, (text, (side, kind)) in enumerate(kinds.items()):
        marks = block(0, 0, side, side, kind)
        grids.append(sheet.grid(0.3 + 5.5 * number, 2.2 - side / 3, side, side, marks, size=2 / 3))
        sheet.text((grids[-1].left + grids[-1].right) / 2, 4.7, text, "faint")
    for before, after in itertools.pairwise(grids):
        sheet.arrow((before.right + 0.3, before.middle), (after.left - 0.3, after.middle))
    return sheet


def overlap(theme: str) -> Sheet:
    """Blocks of the input overlap by what the kernel reaches; of each the good part is kept."""
    sheet = Sheet(15, 7, theme)
    small = {"size": 0.8}
    line = sheet.grid(0.3, 0.8, 1, 18, block(0, 0, 1, 18, "read"), **small)
    sheet.text((line.left + line.right) / 2, 0.4, "input", "faint")
    for number in range(3):
        marks = block(0, 3, 1, 5, "written")
        made = sheet.grid(0.3 + 4 * number, 2.2 + 1.2 * number, 1, 8, marks, **small)
        sheet.text(made.left + 1.2, made.bottom + 0.4, "thrown away", "faint", size=7)
    sheet.text(7.5, 6.4, "output: the kept parts, side by side", "faint")
    return sheet


DRAWINGS = {
    draw.__name__: draw
    for draw in (
        plain, strided, padded, borders, dilated, transposed, crossed, outer, dense, pointwise,
        depthwise, grouped, shuffled, separable, flattened, tiles, phases, multiply, winograd,
        overlap,
    )
}  # fmt: skip


# ---- The directive


def write(name: str, folder: Path) -> None:
    """Draw for both kinds of pages."""
    for theme in THEMES:
        with mpl.rc_context({"svg.hashsalt": name}):
            sheet = DRAWINGS[name](theme)
            path = folder / f"{name}-{theme}.svg"
            sheet.figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})


class Drawing(SphinxDirective):
    """A drawing by its name; the content is its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw, and put both pictures into a figure, of which the page shows one."""
        name = self.arguments[0]
        if name not in DRAWINGS:
            raise self.error(f"no drawing {name!r}: one of {', '.join(DRAWINGS)}")
        self.env.note_dependency(__file__)
        folder = Path(self.env.srcdir, FOLDER)
        folder.mkdir(exist_ok=True)
        write(name, folder)
        figure = nodes.figure(align="center")
        for theme in THEMES:
            uri = f"/{FOLDER}/{name}-{theme}.svg"
            alt = DRAWINGS[name].__doc__
            figure += nodes.image(uri=uri, alt=alt, classes=[f"only-{theme}", "drawing"])
        if self.content:
            paragraph = self.parse_content_to_nodes()[0]
            figure += nodes.caption("", "", *paragraph.children)
        return [figure]


def setup(app: Any) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":  # all of them, to look at
    here = Path(__file__).parent / FOLDER
    here.mkdir(exist_ok=True)
    for each in DRAWINGS:
        write(each, here)
