"""What a run found: plain data, the figures derived of it, and its form in a file."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

#: Of the file's form; another number when an old reader would misunderstand it.
SCHEMA = 1

PLAIN, PACKED = "fastconv", "fastconv packed"


class RecordError(Exception):
    """A file that is no record of a run; the message says why."""


@dataclass(frozen=True)
class Contender:
    """How one contender did.

    Attributes
    ----------
    label : str
        Its name.
    ours : bool
        Whether it is fastconv.
    packed : bool
        Whether its weights were brought into an order of its own before the call.
    error : float or None
        Largest difference from what fastconv computes, relative to the largest output; None if
        the output has another shape, or is no number somewhere.
    wrong : bool
        Whether rounding cannot explain that; it is not timed then.
    seconds, median : float or None
        Lower quartile and median of a call.
    turns : int
        How often it was timed.
    """

    label: str
    ours: bool
    packed: bool
    error: float | None
    wrong: bool = False
    seconds: float | None = None
    median: float | None = None
    turns: int = 0


@dataclass(frozen=True)
class Row:
    """What was measured of one workload.

    Attributes
    ----------
    kind, set, name, class_name : str
        The workload: its convolution type, the network or collection it is from, its name, and
        its class.
    count : int
        How often the network has it.
    layer : str
        Its shapes in short.
    dtype, threads, batch
        How it was run.
    flops, bytes : int
        Operations of the definition, and bytes of input, weights and output.
    method : str
        As `fastconv.explain` tells; both if packed weights have another one.
    peak, bandwidth : float
        Operations, and bytes of copies as large, that the machine did in a second in the same
        turns.
    memory : float
        Bytes in a second of a copy much larger than the caches, just before.
    contenders : list of Contender
        fastconv first.
    failed : dict
        Why peers that should have taken part did not, by their names.
    skipped : list of str
        Peers that would have taken too long.
    """

    kind: str
    set: str
    name: str
    class_name: str
    count: int
    layer: str
    dtype: str
    threads: int
    batch: int
    flops: int
    bytes: int
    method: str
    peak: float
    bandwidth: float
    memory: float
    contenders: list[Contender]
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells rows apart, in another run, too."""
        return self.name, self.dtype, self.threads, self.batch

    def ours(self, packed: bool = False) -> Contender:
        """Give fastconv itself; with packed weights if there is such a contender."""
        ours = {contender.packed: contender for contender in self.contenders if contender.ours}
        return ours.get(packed, ours[False])

    def of(self, label: str) -> Contender | None:
        """Give the contender of that name."""
        return next((one for one in self.contenders if one.label == label), None)

    def time(self, label: str) -> float | None:
        """Give the seconds of a contender; packed weights that a call has not are plain ones."""
        if label == PACKED:
            return self.ours(packed=True).seconds
        one = self.of(label)
        return one.seconds if one else None

    @property
    def best(self) -> Contender:
        """The faster one of fastconv's."""
        timed = [one for one in self.contenders if one.ours and one.seconds is not None]
        return min(timed, key=_seconds, default=self.ours())

    @property
    def gflops(self) -> float:
        """Operations of the definition in a nanosecond."""
        return self.flops / _seconds(self.best) / 1e9

    @property
    def limit(self) -> float:
        """Seconds that the machine needs at least, for the arithmetic or to touch the arrays."""
        return max(self.flops / self.peak, self.bytes / self.bandwidth)

    @property
    def share(self) -> float:
        """The part of the time that cannot be saved; more than 1 if some arithmetic was."""
        return self.limit / _seconds(self.best)

    def rival(self, packed: bool) -> Contender | None:
        """Give the fastest peer with packed weights, or of those without."""
        peers = [
            one
            for one in self.contenders
            if not one.ours and one.packed == packed and one.seconds is not None
        ]
        return min(peers, key=_seconds, default=None)

    def ratio_to(self, packed: bool) -> float | None:
        """Tell how many times as long as fastconv the fastest peer of the sort takes.

        Peers with packed weights are compared with fastconv's call with packed weights.
        """
        rival, ours = self.rival(packed), self.ours(packed)
        if rival is None or ours.seconds is None:
            return None
        return _seconds(rival) / ours.seconds

    @property
    def _closest(self) -> tuple[float, Contender] | None:
        """The smaller one of both ratios, and its peer."""
        found = [
            (ratio, rival)
            for packed in (False, True)
            if (ratio := self.ratio_to(packed)) is not None
            and (rival := self.rival(packed)) is not None
        ]
        return min(found, key=lambda pair: pair[0], default=None)

    @property
    def ratio(self) -> float | None:
        """The smaller one of both ratios; None if there is no peer."""
        return self._closest[0] if self._closest else None

    @property
    def opponent(self) -> Contender | None:
        """The peer of that ratio."""
        return self._closest[1] if self._closest else None

    @property
    def wrong(self) -> list[str]:
        """The contenders whose outputs are wrong."""
        return [contender.label for contender in self.contenders if contender.wrong]


@dataclass
class Results:
    """What a run found.

    Attributes
    ----------
    date : str
        When it began, in UTC.
    machine : dict
        What it ran on.
    versions : dict
        fastconv and its peers.
    config : dict
        As `fastconv.show_config` tells.
    rows : list of Row
        The workloads.
    """

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    config: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as what JSON has, derived figures of the rows included."""
        data = {"schema": SCHEMA, **asdict(self)}
        for line, row in zip(data["rows"], self.rows, strict=True):
            opponent = row.opponent
            line["derived"] = {
                "gflops": row.gflops,
                "limit": row.limit,
                "share": row.share,
                "ratio": row.ratio,
                "ratio_plain": row.ratio_to(packed=False),
                "ratio_packed": row.ratio_to(packed=True),
                "opponent": opponent and opponent.label,
            }
        return data

    def write(self, path: Path) -> None:
        """Write a file that `read` reads."""
        path.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", "utf-8")


def read(path: Path) -> Results:
    """Read what `Results.write` wrote.

    Raises
    ------
    RecordError
        If it cannot be read.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["schema"] != SCHEMA:
            raise RecordError(f"{path} has form {data['schema']}, expected {SCHEMA}")
        names = Results.__dataclass_fields__
        results = Results(**{name: data[name] for name in names})
        results.rows = [
            Row(
                # An older record may lack what has a default.
                **{
                    name: line[name]
                    for name in Row.__dataclass_fields__.keys() & line.keys() - {"contenders"}
                },
                contenders=[Contender(**contender) for contender in line["contenders"]],
            )
            for line in data["rows"]
        ]
    except OSError as problem:
        raise RecordError(f"cannot read {path}: {problem.strerror}") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise RecordError(f"{path} is no record of a run ({problem!r})") from None
    return results


# ---------------------------------------------------------------- sums over rows


@dataclass(frozen=True)
class Summary:
    """Some rows in short: geometric mean of the ratios, the worst row, how many are behind."""

    rows: int
    mean: float
    worst: Row
    behind: int


def summary(rows: list[Row]) -> Summary | None:
    """Sum rows up; None if none of them has a peer."""
    compared = [(ratio, row) for row in rows if (ratio := row.ratio) is not None]
    if not compared:
        return None
    mean = statistics.geometric_mean(ratio for ratio, _ in compared)
    worst = min(compared, key=lambda pair: pair[0])[1]
    return Summary(len(compared), mean, worst, sum(ratio < 1 for ratio, _ in compared))


@dataclass(frozen=True)
class Standing:
    """How a peer did, in all rows that it took part in and not just where it was fastest.

    Attributes
    ----------
    label : str
        The peer's.
    ratios : list of (float, Row)
        How many times as long as fastconv it takes, the smallest ratio first.
    skipped : int
        In how many rows it would have taken too long.
    """

    label: str
    ratios: list[tuple[float, Row]]
    skipped: int

    @property
    def mean(self) -> float:
        """The geometric mean of the ratios."""
        return statistics.geometric_mean(ratio for ratio, _ in self.ratios)

    @property
    def behind(self) -> list[tuple[float, Row]]:
        """The rows where the peer is faster."""
        return [(ratio, row) for ratio, row in self.ratios if ratio < 1]


#: Stands for the fastest peer of each row.
FASTEST = "fastest peer"


def standings(rows: list[Row]) -> list[Standing]:
    """Compare with each peer by itself, and last with the fastest one of each row."""
    labels = dict.fromkeys(
        label
        for row in rows
        for label in (*(one.label for one in row.contenders if not one.ours), *row.skipped)
    )
    found = []
    for label in (*labels, FASTEST):
        ratios = []
        for row in rows:
            ours = row.ours().seconds
            theirs = row.ratio if label == FASTEST else row.time(label)
            if theirs is not None and ours is not None:
                ratios.append((theirs if label == FASTEST else theirs / ours, row))
        skipped = sum(label in row.skipped for row in rows)
        if ratios:
            found.append(Standing(label, sorted(ratios, key=lambda pair: pair[0]), skipped))
    return found


def roofs(rows: list[Row]) -> tuple[float, float]:
    """Give peak and bandwidth of the memory, medians over rows of the same dtype and threads."""
    return statistics.median(r.peak for r in rows), statistics.median(r.memory for r in rows)


@dataclass(frozen=True)
class Gain:
    """What more threads are to a workload: of plain and packed weights the call they help less.

    Attributes
    ----------
    row : Row
        The workload with more threads.
    packed : bool
        Which call it is.
    before, after : float
        Its seconds with fewer threads, and with more.
    machine : float
        How many times as short the machine's own limit is.
    """

    row: Row
    packed: bool
    before: float
    after: float
    machine: float

    #: Of each core's work, what a call must gain that takes more seconds than these.
    SHARE, LONG = 1.85 / 2, 1e-3

    @property
    def times(self) -> float:
        """How many times as fast the call is."""
        return self.before / self.after

    @property
    def is_long(self) -> bool:
        """Whether the call is long enough to gain what several cores are worth."""
        return self.before > self.LONG


def gains(fewer: list[Row], more: list[Row]) -> list[Gain]:
    """Compare the rows that were measured with more threads with those of fewer."""

    def key(row: Row) -> tuple[str, str, int]:
        return row.name, row.dtype, row.batch

    earlier = {key(row): row for row in fewer}
    found = []
    for row in more:
        old = earlier.get(key(row))
        if old is None:
            continue
        pairs = [
            Gain(row, packed, before, after, old.limit / row.limit)
            for packed in (False, True)
            if (before := old.ours(packed).seconds) and (after := row.ours(packed).seconds)
        ]
        found += sorted(pairs, key=lambda gain: gain.times)[:1]
    return found


def by_class(rows: list[Row]) -> dict[str, list[Row]]:
    """Sort rows by their classes."""
    classes: dict[str, list[Row]] = {}
    for row in rows:
        classes.setdefault(row.class_name, []).append(row)
    return classes


def whole(name: str, rows: list[Row]) -> Row:
    """Add rows up to one, each as often as its network has it; without who did not compute all."""

    def total(label: str) -> float | None:
        times = [row.time(label) for row in rows]
        if None in times:
            return None
        return sum(row.count * (time or 0) for row, time in zip(rows, times, strict=True))

    labels = {one.label: one for row in rows for one in row.contenders}
    return replace(
        rows[0],
        name=name,
        flops=sum(row.count * row.flops for row in rows),
        contenders=[replace(one, seconds=total(label)) for label, one in labels.items()],
    )


def _seconds(contender: Contender) -> float:
    return math.inf if contender.seconds is None else contender.seconds
