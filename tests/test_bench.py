"""The benchmark: its workloads are what they say, its peers compute them, its figures add up.

No test looks at a time. Peers that are not installed, and reports without rich or matplotlib,
are skipped.
"""

import dataclasses
import doctest
import json
import math
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import bench
from fastconv.__main__ import main
from fastconv.bench import results as figures
from fastconv.bench.contest import contest
from fastconv.bench.methods import KEYS
from fastconv.bench.namesakes import DTYPES, NAMESAKES, QUICK, Namesake, Noise
from fastconv.bench.passes import recipe
from fastconv.bench.peer import Call, Peer, Problem, fastest
from fastconv.bench.peers import PEERS, found
from fastconv.bench.results import FASTEST, PACKED, PLAIN, Contender, RecordError, Results, Row
from fastconv.bench.rivals import RIVALS, rivals
from fastconv.bench.timing import Limits, error, settle, take_turns, tolerance
from fastconv.bench.workloads import CLASSES, FORMS, NETWORKS, WORKLOADS, find, members, select

# One small workload of each kind, and then some: 1-D, 3-D, strides, groups, a batch.
SMALL = [row for row in WORKLOADS if row.set == "mission"]
SMALL += [find("mission simple").of_batch(3), find("mission transposed").of_batch(2)]
SMALL += map(find, ["keyword spotting 1-D", "WaveNet dilation 128", "HiFi-GAN up4 x2"])
SMALL += map(find, ["FCN-8s upsampling x8", "image 256x256, 9x9", "image 256x256, 9+9"])
SMALL += map(find, ["image 1024x1024, 15+15 flattened", "stereo 10 s at 48 kHz, 64 taps"])
SMALL += map(find, ["MobileNet conv3_2/dw", "DCGAN z"])
SMALL += map(find, ["EfficientDet conv16", "VGG-19 conv1_1", "C3D conv1a", "ShuffleNet stage4 1x1"])


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    """Copying memory larger than caches takes long, and here nobody looks at how long."""
    monkeypatch.setattr(Limits, "MOST", 1 << 21)


@pytest.fixture
def reports():
    """What reports need."""
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")


# ---------------------------------------------------------------- workloads


def test_every_workload_is_a_call():
    for row in WORKLOADS:
        assert row.plan.output_shape[:2] == (row.batch, row.out_channels), row.name
        assert row.plan.flops > 0, row.name
        assert row.classes, row.name
        assert row.count >= 1, row.name
    assert {row.kind for row in WORKLOADS} == set(FORMS)
    assert len({row.name for row in WORKLOADS}) == len(WORKLOADS)


def test_quick_has_every_kind():
    assert {row.kind for row in select(["quick"])} == set(FORMS)


# Layers, and multiply-adds as published: papers and model cards, with their classifiers.
@pytest.mark.parametrize(
    ("network", "layers", "published"),
    [
        ("resnet-50", 53, 4.09e9),
        ("mobilenet-v1", 28, 569e6),
        ("mobilenet-v2", 52, 300e6),
        ("mobilenet-v3", 62, 219e6),
        ("vgg-19", 16, 19.6e9),
        ("resnext-101", 104, 36.3e9),
        ("convnext-t", 58, 4.5e9),
        ("efficientdet", 214, 2.5e9),
        ("c3d", 8, 38.5e9),
        ("unet", 23, None),
        ("tcn-mnist", 17, None),
        ("tcn-characters", 8, None),
    ],
)
def test_networks_are_whole(network, layers, published):
    rows = select([network])
    assert sum(row.count for row in rows) == layers
    if published:
        work = sum(row.count * row.plan.flops for row in rows) / 2
        assert work == pytest.approx(published, rel=0.03)


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("kind", ["conv", "pointwise", "depthwise"])
def test_growth(kind):
    """Outputs grow from 1e4 to 1e8 with 64 channels, channels from 8 to 2048 with 1e6 outputs."""
    from fastconv.bench import growth

    rows = [row for row in select([growth.SET]) if row.kind == kind]
    assert all(row.in_channels == row.out_channels for row in rows)
    sizes = [sorted(panel.size(row) for row in rows if panel.has(row)) for panel in growth.PANELS]
    np.testing.assert_allclose(sizes[0], np.geomspace(1e4, 1e8, 9), rtol=0.1)
    assert sizes[1] == [8 << i for i in range(9)]


def test_sets():
    counts = members()
    assert counts["all"] == len(WORKLOADS)
    assert {"quick", *CLASSES, *NETWORKS} <= counts.keys()
    assert all(counts.values())
    assert len(select(["resnet-50", "pointwise"])) < counts["resnet-50"] + counts["pointwise"]
    assert [row.name for row in select(["mission"], "SIMPLE")] == ["mission simple"]
    with pytest.raises(ValueError, match=r"no set of workloads 'resnet'.*resnet-50"):
        select(["resnet"])


@pytest.mark.parametrize("row", SMALL, ids=lambda row: f"{row.name} {row.batch}")
def test_recipes(row):
    """The chains of plain convolutions compute what the one call of fastconv does."""
    x, *weights = row.arrays("float64")
    steps = recipe(row, weights)
    ends = []
    for chain in steps.chains:
        value = x
        for one in chain:
            if one.transposed:
                value = fastconv.conv_transpose(
                    value, one.weight, None, one.stride, one.before, one.output_padding,
                    one.groups, one.dilation,
                )  # fmt: skip
            else:
                pads = tuple(zip(one.before, one.after, strict=True))
                value = fastconv.conv(
                    value, one.weight, None, one.stride, pads, one.dilation, one.groups
                )
        ends.append(value)
    expected = row.form.function(x, *weights, **row.form.options)
    np.testing.assert_allclose(fastconv.channel_shuffle(sum(ends), steps.shuffle), expected)


def test_every_namesake_is_a_call_of_scipy():
    names = {row.name for row in NAMESAKES}
    assert len({(row.name, row.dtype) for row in NAMESAKES}) == len(NAMESAKES)
    assert names >= QUICK.keys()
    assert members()["scipy-quick"] == sum(len(dtypes.split()) for dtypes in QUICK.values())
    assert members()["signal"] + members()["ndimage"] == members()["scipy"] == len(NAMESAKES)
    for row in NAMESAKES:
        assert row.dtype in DTYPES
        assert row.terms >= 1, row.name
        assert callable(row.of_module("scipy")), row.name
        assert callable(row.of_module("fastconv")), row.name


def smaller(row):
    """The same call with small arrays."""

    def cut(one):
        if not isinstance(one, Noise):
            return one
        most = 5 if one.taps else (200, 40, 12)[len(one.shape) - 1]
        return one._replace(shape=tuple(min(n, most) for n in one.shape))

    return dataclasses.replace(row, arguments=tuple(map(cut, row.arguments)))


#: Calls of every kind, small.
CALLS = list({(row.name, row.dtype): row for row in map(smaller, NAMESAKES)}.values())


# ---------------------------------------------------------------- peers

#: How many functions each peer computes; of some SciPy's has several labels.
FUNCTIONS = {"torch": 2, "opencv": 13, "scipy": 16, "ndimage": 10}


@pytest.mark.parametrize("kind", [k for k in PEERS if k.key in RIVALS], ids=lambda kind: kind.key)
def test_rivals_agree(kind):
    """Whatever computes a call of SciPy's name computes what fastconv does, in the same dtype."""
    try:
        (peer,) = found([kind.key])
    except ValueError:
        pytest.skip(f"{kind.label} is not installed")
    computed = set()
    for row in CALLS:
        arguments = row.drawn()
        expected = row.of_module("fastconv")(*arguments, **row.options)
        floats = expected.dtype.kind in "fc"
        allowed = tolerance(row.terms, row.dtype) if floats else peer.units
        for label, call in rivals(peer, row, arguments, expected.size, threads=1).items():
            output = call.array(call.run())
            assert output.dtype == expected.dtype, (label, row.name)
            assert error(output, expected) <= allowed, (label, row.name, row.dtype)
            computed.add((label, row.set, row.function))
    assert len(computed) == FUNCTIONS[kind.key]


def test_slow_rivals_are_skipped():
    (peer,) = found(["scipy"])
    row = next(row for row in NAMESAKES if row.name == "signal.correlate(512x512, 255x255, 'same')")
    assert row.dtype == "float32"
    arguments = row.drawn()
    calls = rivals(peer, row, arguments, arguments[0].size, threads=1)
    assert [label for label, call in calls.items() if call is None] == ["SciPy signal direct"]


def test_contest_of_a_call(monkeypatch):
    def some(*_):
        return {
            "right": Call(lambda: np.full(32, 2.0)),
            "wrong": Call(lambda: np.full(32, 2.1)),
            "broken": Call(lambda: 1 // 0),
            "slow": None,
        }

    contests = sys.modules[contest.__module__]
    monkeypatch.setattr(contests, "rivals", some)
    monkeypatch.setattr(Namesake, "drawn", lambda _: [np.ones(32), np.ones(2)])
    row = Namesake("ndimage", "correlate1d", "float64", (Noise((32,)), Noise((2,), taps=True)))
    result = contest(row, [Made("peer", right)], Limits(1, "float64"), "float64", 0.01)
    assert result.name == row.name == "ndimage.correlate1d(32, 2)"
    assert (result.set, result.class_name, result.dtype) == ("ndimage", "ndimage", "float64")
    assert (result.flops, result.bytes) == (2 * 2 * 32, 8 * (32 + 2 + 32))
    assert [one.label for one in result.contenders] == [PLAIN, "right", "wrong"]
    assert result.wrong == ["wrong"]
    assert result.skipped == ["slow"]
    assert result.failed["broken"].startswith("ZeroDivisionError: ")

    def refuse(*_):
        raise RuntimeError("not today\nnor tomorrow")

    monkeypatch.setattr(contests, "rivals", refuse)
    result = contest(row, [Made("peer", right)], Limits(1, "float64"), "float64", 0.01)
    assert result.failed == {"peer": "RuntimeError: not today"}


def test_hopeless_calls_are_made_once(monkeypatch):
    """Whoever is slow, and much slower than fastconv, is not called again to be timed."""
    contests = sys.modules[contest.__module__]
    monkeypatch.setattr(contests, "LONG", 0.0)
    monkeypatch.setattr(contests, "HOPELESS", 0)
    made = []
    peer = Made("slow", lambda output: made.append(1) or output)
    limits = Limits(1, "float32")
    row = contest(find("mission simple"), [peer], limits, "float32", 0.01)
    assert len(made) == 1
    assert row.of("slow").turns == 1
    assert row.of("slow").seconds > 0


def problem_of(row, x, weights, expected):
    return Problem(row, x, weights, recipe(row, weights), expected.shape, threads=1)


@pytest.mark.filterwarnings("ignore")  # what others warn of is not ours to judge
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.key)
def test_peers_agree(kind, dtype):
    try:
        (peer,) = found([kind.key])
    except ValueError:
        pytest.skip(f"{kind.label} is not installed")
    if dtype == "float64" and not peer.double:
        pytest.skip(f"{kind.label} has no float64")
    assert peer.version
    computed = 0
    for row in SMALL:
        x, *weights = row.arrays(dtype)
        expected = row.form.function(x, *weights, **row.form.options)
        call = peer.prepare(problem_of(row, x, weights, expected))
        if call is not None:
            off = error(call.array(call.run()), expected)
            assert off <= tolerance(row.plan.flops / 2 / expected.size, dtype), row.name
            computed += 1
    filters = ("opencv", "scipy", "ndimage")
    assert computed == len(SMALL) if kind.key not in filters else computed >= 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("key", KEYS)
def test_methods_agree(key, dtype):
    plain, packed = found([key])
    assert (plain.label, packed.label) == (key, f"{key} packed")
    assert (plain.packs, packed.packs) == (False, True)
    computed = 0
    for row in SMALL:
        x, *weights = row.arrays(dtype)
        expected = row.form.function(x, *weights, **row.form.options)
        possible = fastconv.explain(row.form.function, x, *weights, **row.form.options).accepting
        for method in plain, packed:
            call = method.prepare(problem_of(row, x, weights, expected))
            assert (call is not None) == (len(possible) > 1 and key in possible), row.name
            if call is not None:
                assert fastconv.explain(call.run).method.startswith(key), row.name
                off = error(call.run(), expected)
                assert off <= tolerance(row.plan.flops / 2 / expected.size, dtype), row.name
                computed += 1
    assert computed >= 6


def test_methods_take_part_if_named():
    assert not {peer.key for peer in found()} & set(KEYS)
    results = bench.run(["mission"], containing="dilated", peers=KEYS, seconds=0.01)
    assert results.versions.keys() == {"fastconv", "numpy"}
    (row,) = results.rows
    methods = {one.label: one.packed for one in row.contenders if not one.ours}
    assert methods == dict.fromkeys(KEYS, False) | {f"{key} packed": True for key in KEYS}
    assert row.opponent.label in methods
    assert not row.wrong
    assert not row.failed


def test_unknown_peer():
    with pytest.raises(ValueError, match="unknown peer 'caffe', expected some of torch, "):
        found(["caffe"])


def test_absent_peer(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "opencv" not in {peer.key for peer in found(["scipy"])}
    with pytest.raises(ValueError, match="OpenCV is not installed"):
        found(["opencv"])


class Made(Peer):
    """A peer that computes what a test wants it to."""

    packs = False

    def __init__(self, label, change):
        self.key = self.label = label
        self.change = change

    def prepare(self, problem):
        if self.change is None:
            raise RuntimeError("not today\nnor tomorrow")
        row = problem.workload
        return Call(lambda: self.change(row.form.function(*row.arrays(), **row.form.options)))


def right(output):
    return output


def wrong(output):
    output.flat[-1] += 0.1
    return output


def held(*peers):
    limits = Limits(1, "float32")
    return contest(find("mission simple"), [Made(*peer) for peer in peers], limits, "float32", 0.01)


def test_wrong_peers_are_noticed():
    row = held(("right", right), ("wrong", wrong), ("shape", lambda output: output[0]),
               ("nan", lambda output: output * np.nan), ("broken", None))  # fmt: skip
    assert row.wrong == ["wrong", "shape", "nan"]
    assert row.opponent.label == "right"
    assert row.failed == {"broken": "RuntimeError: not today"}
    for contender in row.contenders:
        assert (contender.seconds is None) == contender.wrong
    assert [c.error for c in row.contenders if c.label in ("shape", "nan")] == [None, None]


def test_fastconv_is_blamed_if_all_others_disagree():
    row = held(("one", wrong), ("other", wrong))
    assert row.wrong == [one.label for one in row.contenders if one.ours]
    assert row.ratio is None
    assert row.gflops == row.share == 0
    assert held(("only", wrong)).wrong == ["only"]
    both = ("a method", wrong), ("a method packed", wrong)
    assert held(*both).wrong == ["a method", "a method packed"]


def test_packed_weights_are_a_contender(monkeypatch):
    monkeypatch.setattr(fastconv, "pack", lambda weight: weight, raising=False)
    assert [one.label for one in held().contenders] == [PLAIN, PACKED]

    def refuse(weight):
        raise TypeError("these cannot be packed")

    monkeypatch.setattr(fastconv, "pack", refuse)
    assert [one.label for one in held().contenders] == [PLAIN]


# ---------------------------------------------------------------- timing


def test_turns():
    made = {"a": 0, "b": 0}

    def call(name):
        def count():
            made[name] += 1

        return count

    times = take_turns({name: call(name) for name in made}, {}, 0.01, 1)
    assert made["a"] > times["a"].turns >= 3
    assert times["a"].turns == times["b"].turns
    assert times["a"].seconds <= times["a"].median
    assert take_turns({}, {"limit": call("a")}, 0.01, 1).keys() == {"limit"}


def test_hopeless_contenders_leave():
    calls = {"fast": lambda: None, "slow": lambda: time.sleep(0.1)}
    times = take_turns(calls, {}, 0.01, 1)
    assert times["slow"].turns == 1
    assert times["fast"].turns >= 3
    # None but a contender makes another one hopeless.
    times = take_turns({"slow": calls["slow"]}, {"fast": calls["fast"]}, 0.01, 1)
    assert times["slow"].turns >= 3


def test_fastest():
    slow = Call(lambda: time.sleep(0.05))
    assert fastest(slow, quick := Call(lambda: None)) is quick
    assert fastest(slow) is slow


@pytest.mark.parametrize("threads", [1, 2])
def test_limits(threads):
    limits = Limits(threads, "float64")
    for call, amount in (limits.multiply(), limits.copy(1000), limits.copy(1 << 30)):
        call()
        assert amount > 0
    assert limits.memory() > 0
    settle()
    limits.close()


# ---------------------------------------------------------------- figures


def made_row(plain, packed=None, **peers):
    """A row of a billion operations; peers whose names begin with p have packed weights."""
    contenders = [Contender(PLAIN, ours=True, packed=False, error=0.0, seconds=plain)]
    if packed:
        contenders.append(Contender(PACKED, True, True, 0.0, seconds=packed))
    contenders += [
        Contender(name, False, name.startswith("p"), 0.0, seconds=seconds)
        for name, seconds in peers.items()
    ]
    return Row(
        "conv", "made", "a row", "conv", 2, "8→8", "float32", 1, 1, 10**9, 10**7, "direct",
        peak=1e11, bandwidth=1e10, memory=1e9, contenders=contenders,
    )  # fmt: skip


def test_ratios():
    row = made_row(0.02, 0.016, a=0.03, b=0.04, p=0.02)
    assert row.ratio_to(packed=False) == 1.5
    assert row.ratio_to(packed=True) == 1.25
    assert (row.ratio, row.opponent.label) == (1.25, "p")
    assert row.best.label == PACKED
    assert row.gflops == pytest.approx(62.5)
    assert row.limit == pytest.approx(0.01)
    assert row.share == pytest.approx(0.625)
    plain = made_row(0.02, p=0.01)
    assert (plain.ratio, plain.opponent.label) == (0.5, "p")
    assert made_row(0.02).ratio is None
    assert made_row(0.02).opponent is None


def test_memory_can_be_the_limit():
    row = dataclasses.replace(made_row(0.02), bandwidth=1e9 / 2)
    assert row.limit == row.share * 0.02 == 0.02


def test_sums():
    rows = [made_row(0.01, a=0.02), made_row(0.02, a=0.01), made_row(0.01)]
    found = figures.summary(rows)
    assert (found.rows, found.behind, found.worst) == (2, 1, rows[1])
    assert found.mean == pytest.approx(1)
    assert figures.summary(rows[2:]) is None
    assert figures.roofs(rows) == (1e11, 1e9)
    assert figures.by_class(rows) == {"conv": rows}


def test_standings():
    rows = [made_row(0.01, a=0.02), made_row(0.02, a=0.01, b=0.08), made_row(0.01)]
    rows[0] = dataclasses.replace(rows[0], skipped=["b"])
    a, b, best = figures.standings(rows)
    assert (a.label, b.label, best.label) == ("a", "b", FASTEST)
    assert (a.ratios, a.mean) == ([(0.5, rows[1]), (2.0, rows[0])], pytest.approx(1))
    assert a.behind == best.behind == [(0.5, rows[1])]
    assert (b.ratios, b.behind) == ([(4.0, rows[1])], [])
    assert (a.skipped, b.skipped, best.skipped) == (0, 1, 0)
    assert figures.standings(rows[2:]) == []


def test_gains():
    one = [made_row(0.02, 0.01), made_row(0.01), made_row(5e-4), made_row(0.01)]
    two = [made_row(0.01, 0.008), made_row(0.005), made_row(1e-3), made_row(None)]
    one, two = (
        [
            dataclasses.replace(row, name=str(i), threads=threads, peak=threads * 1e11)
            for i, row in enumerate(rows)
        ]
        for rows, threads in ((one, 1), (two, 2))
    )
    found = figures.gains(one, two[::-1])
    assert [gain.row.name for gain in found] == ["2", "1", "0"]
    assert [gain.times for gain in found] == pytest.approx([0.5, 2, 1.25])
    assert [gain.packed for gain in found] == [False, False, True]
    assert [gain.is_long for gain in found] == [False, True, True]
    assert [gain.machine for gain in found] == [2, 2, 2]
    assert figures.gains(one[:1], two[1:]) == []


@pytest.mark.usefixtures("reports")
def test_report_of_gains(capsys):
    from rich.console import Console

    from fastconv.bench import report

    one = [dataclasses.replace(made_row(0.01), name=name) for name in ("fast", "slow", "slower")]
    two = [made_row(0.004), made_row(0.008), made_row(0.02)]
    two = [
        dataclasses.replace(new, name=old.name, threads=2, peak=1.8e11, memory=1.5e9)
        for old, new in zip(one, two, strict=True)
    ]
    report.show_gains(one, two, Console(width=500))
    output = capsys.readouterr().out
    assert (
        "2 threads, times as fast as 1 thread: mean 1.16; lowest 0.50, slower; "
        "under 1.85: 2 of 3 rows above 1 ms; slower: 1 of 3 rows. "
        "The machine: 1.80 in multiply-adds, 1.50 in copies of memory."
    ) in output


def test_whole_networks():
    network = figures.whole("net", [made_row(0.01, 0.005, a=0.02, p=0.03), made_row(0.02, a=0.01)])
    assert network.ours().seconds == pytest.approx(0.06)
    assert network.ours(packed=True).seconds == pytest.approx(0.05)
    assert network.opponent.label == "a"
    assert network.ratio == pytest.approx(1)
    assert network.flops == 4e9


# ---------------------------------------------------------------- runs and records


def test_run_and_record(tmp_path):
    seen = []
    results = bench.run(
        ["mission"],
        containing="spatially",
        threads=[1, 2],
        peers=["ndimage"],
        seconds=0.01,
        progress=lambda results, total, name: seen.append((len(results.rows), total, name)),
    )
    name = "mission spatially separable"
    assert seen == [(0, 2, name), (1, 2, name), (2, 2, "")]
    assert [row.threads for row in results.rows] == [1, 2]
    results.write(path := tmp_path / "record.json")
    assert bench.read(path) == results

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(path.read_text(), parse_constant=refuse)
    assert record.keys() == {"schema", "date", "machine", "versions", "config", "rows"}
    assert record["schema"] == 1
    assert {"cpu", "caches", "cores", "os", "python"} <= record["machine"].keys()
    assert record["versions"].keys() == {"fastconv", "numpy", "SciPy ndimage"}
    row = record["rows"][0]
    assert row.keys() == {field.name for field in dataclasses.fields(Row)} | {"derived"}
    assert row["derived"].keys() == {
        *("gflops", "limit", "share", "ratio", "ratio_plain", "ratio_packed", "opponent")
    }
    assert row["derived"]["opponent"] == "SciPy ndimage"
    assert all(math.isfinite(contender["seconds"]) for contender in row["contenders"])


def test_older_records_can_be_read(tmp_path):
    results = Results("today", {}, {}, {}, [made_row(0.01, a=0.02)])
    data = results.to_dict()
    del data["rows"][0]["skipped"]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data))
    assert bench.read(path) == results
    del data["rows"][0]["threads"]
    path.write_text(json.dumps(data))
    with pytest.raises(RecordError, match="is no record of a run"):
        bench.read(path)


def test_rows_are_run_in_their_dtypes():
    run = {"containing": "correlate(8x8, 3x3)", "peers": [], "seconds": 0.01}
    dtypes = [row.dtype for row in bench.run(["ndimage"], **run).rows]
    assert dtypes == list(DTYPES)
    dtypes = [row.dtype for row in bench.run(["ndimage"], dtype=("int16", "uint8"), **run).rows]
    assert dtypes == ["int16", "uint8"]


def test_docstring():
    failed, attempted = doctest.testmod(bench)
    assert attempted
    assert not failed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read .*: No such file"),
        ("{", "is no record of a run"),
        ("[]", "is no record of a run"),
        ('{"schema": 0}', "has form 0, expected 1"),
        ('{"schema": 1}', "is no record of a run"),
    ],
)
def test_records_that_are_none(tmp_path, text, message):
    path = tmp_path / "record.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecordError, match=message):
        bench.read(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sets": ["everything"]}, "there is no set of workloads 'everything'"),
        ({"containing": "nothing"}, "no workload of quick has 'nothing' in its name"),
        ({"threads": [1, 0]}, "threads must be positive, got 0"),
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"seconds": 0}, "seconds must be positive, got 0"),
        ({"dtype": "float16"}, "dtype must be one of float32, .*, complex64, got 'float16'"),
        ({"dtype": ["int16", "uint8"]}, "no workload of quick is computed in int16 or uint8"),
        ({"peers": ["caffe"]}, "unknown peer 'caffe'"),
    ],
)
def test_run_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench.run(**arguments)


# ---------------------------------------------------------------- the command line

TINY = ["bench", "--set", "mission", "--name", "spatially", "--seconds", "0.01"]


@pytest.mark.usefixtures("reports")
def test_command(capsys, tmp_path):
    record, roofline = tmp_path / "record.json", tmp_path / "roofline.svg"
    options = ["--peers", "ndimage", "--output", str(record), "--plot", str(roofline)]
    assert main([*TINY, *options, "--threads", "1", "2", "--dtype", "float64"]) == 0
    output = capsys.readouterr().out
    assert "mission spatially separable" in output
    assert "2 threads, float64" in output
    assert "2 threads, times as fast as 1 thread: mean " in output
    assert str(record) in output
    assert "<svg" in roofline.read_text()
    assert bench.read(record).rows[0].dtype == "float64"

    assert main([*TINY, "--peers", "--dtype", "float64", "--compare", str(record)]) == 0
    assert f"since {bench.read(record).date}" in capsys.readouterr().out
    assert main([*TINY, "--peers", "--compare", str(record)]) == 0
    assert "No workload of this run is in the earlier one." in capsys.readouterr().out


@pytest.mark.usefixtures("reports")
def test_command_of_calls(capsys, tmp_path):
    record, roofline = tmp_path / "record.json", tmp_path / "roofline.svg"
    run = ["bench", "--set", "signal", "--name", "correlate(32, 5", "--seconds", "0.01"]
    run += ["--peers", "scipy"]
    options = ["--output", str(record), "--plot", str(roofline), "--dtype", "uint8", "float32"]
    assert main([*run, *options, "--threads", "1", "2"]) == 0
    output = capsys.readouterr().out
    assert output.count("signal.correlate(32, 5, 'full')") >= 4
    for heading in "1 thread, float32:", "2 threads, uint8:", "SciPy's calls in all dtypes":
        assert heading in output
    assert "SciPy signal direct" in output
    assert output.count("2 threads, times as fast as 1 thread: mean ") == 2
    assert "<svg" in roofline.read_text()
    assert [(row.dtype, row.threads) for row in bench.read(record).rows] == [
        *(("uint8", 1), ("float32", 1)),
        *(("uint8", 2), ("float32", 2)),
    ]
    assert main([*run, "--compare", str(record), "--dtype", "uint8"]) == 0
    assert f"since {bench.read(record).date}" in capsys.readouterr().out


@pytest.mark.usefixtures("reports")
def test_report_of_calls(capsys):
    """The rows behind are named, with who is ahead; times of a single call are marked."""
    from rich.console import Console

    from fastconv.bench import report

    rows = [made_row(0.01, **{"SciPy ndimage": 0.5}), made_row(0.01, a=0.005, b=0.02)]
    rows = [
        dataclasses.replace(row, set="ndimage", name=name)
        for row, name in zip(rows, ("fast", "slow"), strict=True)
    ]
    rows[0].contenders[1] = dataclasses.replace(rows[0].contenders[1], turns=1)
    console = Console(width=200)
    console.print(report.table_of_calls(rows), report.standings_of(rows))
    report.show_behind(rows, console)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fast", "10", "500*", "50.00", "SciPy", "ndimage", "500*", "50.00"] in lines
    assert ["slow", "10", "a", "5", "0.50"] in lines
    assert ["a", "1", "0.50", "1", "0.50", "slow"] in lines
    assert ["fastest", "peer", "2", "5.00", "1", "0.50", "slow"] in lines
    assert ["behind", "a", "(0.50):", "slow"] in lines


@pytest.mark.usefixtures("reports")
def test_picture_of_growth(tmp_path):
    picture = tmp_path / "growth.svg"
    run = ["bench", "--set", "growth", "--name", "depthwise 3x3, 64 channels, 1e4"]
    assert main([*run, "--seconds", "0.01", "--peers", "--growth", str(picture)]) == 0
    assert "depthwise: 1.00 to 1.00 of its median" in picture.read_text()

    from fastconv.bench import growth

    results = Results("today", {}, {"fastconv": "0"}, {})
    for row in select(["growth"]):
        flops = row.plan.flops
        seconds = flops / 1e11 * (2 if row.out_channels == 2048 else 1)
        made = made_row(seconds, a=seconds) if row.kind == "conv" else made_row(seconds)
        results.rows.append(
            dataclasses.replace(made, name=row.name, set=row.set, class_name=row.kind, flops=flops)
        )
    results.rows += [dataclasses.replace(row, threads=2) for row in results.rows]
    growth.plot(results, picture)
    drawn = picture.read_text()
    for kind in "conv", "pointwise", "depthwise":
        assert drawn.count(f"{kind}: 1.00 to 1.00 of its median") == 2
        assert drawn.count(f"{kind}: 1.00 to 2.00 of its median") == 2
    assert "2 threads, float32, 64 channels" in drawn


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("after", [0, 1])
def test_interrupted(capsys, monkeypatch, tmp_path, after):
    def interrupted(*args, progress, **kwargs):
        results = Results("today", machine.describe(), {"fastconv": "0"}, config)
        results.rows += [made_row(0.02)] * after
        progress(results, 2, "next")
        raise KeyboardInterrupt

    machine, config = bench.machine, fastconv.show_config("dicts")
    monkeypatch.setattr(bench, "run", interrupted)
    record = tmp_path / "record.json"
    if not after:
        with pytest.raises(KeyboardInterrupt):
            main([*TINY, "--output", str(record)])
        assert not record.exists()
        return
    assert main([*TINY, "--output", str(record)]) == 130
    assert "Interrupted" in capsys.readouterr().out
    assert len(bench.read(record).rows) == 1


@pytest.mark.usefixtures("reports")
def test_report_of_networks(capsys, monkeypatch):
    from fastconv.bench import report

    monkeypatch.setattr(report, "NETWORKS", ("keyword-spotting",))
    row = dataclasses.replace(made_row(0.02, 0.01, a=0.005), set="keyword-spotting")
    wrong = Contender("b", False, False, None, wrong=True)
    row = dataclasses.replace(row, contenders=[*row.contenders, wrong], failed={"c": "why"})
    results = Results(
        "today", {"cpu": "one", "usable_cores": 1, "caches": {}, "load": None}, {"fastconv": "0"},
        {"simd": {"chosen": "v3"}}, [row],
    )  # fmt: skip
    from rich.console import Console

    report.show(results, Console(width=110))
    output = capsys.readouterr().out
    assert "whole network" in output
    assert "a row, float32: b computes something else." in output
    assert "a row, float32: c failed. why" in output


@pytest.mark.usefixtures("reports")
def test_page_side_by_side(tmp_path):
    """The script that writes the page runs; it stops where results differ."""
    image = pytest.importorskip("PIL.Image")
    script = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "side_by_side.py"))
    photo, target = tmp_path / "photo.png", tmp_path / "page.md"
    grey = np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8)
    image.fromarray(grey).save(photo)
    script["main"]([str(photo), "--output", str(target), "--seconds", "0.001"])
    text = target.read_text("utf-8")
    for example in script["EXAMPLES"]:
        assert f"| `scipy.{example.call}` | " in text
        assert f"| `fastconv.{example.call}` | " in text
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(set(pictures)) == len(script["EXAMPLES"])
    assert all((tmp_path / picture).stat().st_size for picture in pictures)
    wrong = script["EXAMPLES"][0]._replace(call="photo * (ndimage.__name__ == 'scipy.ndimage')")
    with pytest.raises(SystemExit, match="off by"):
        script["measure"](wrong, image.open(photo), tmp_path, 0.001)


@pytest.mark.usefixtures("reports")
def test_list(capsys):
    assert main(["bench", "--list"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in members())
    assert all(kind.key in output for kind in PEERS)
    assert all(key in output for key in KEYS)


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "nets"], "no set of workloads 'nets'"),
        (["--peers", "caffe"], "unknown peer 'caffe'"),
        (["--threads", "0"], "expected a whole number of at least 1, got '0'"),
        (["--seconds", "nan"], "expected a positive number of seconds, got 'nan'"),
        (["--dtype", "half"], "invalid choice: 'half'"),
        (["--compare", "nowhere.json"], "cannot read nowhere.json"),
        (["--output", "nowhere/record.json"], "there is no directory nowhere"),
        (["--output", "."], "cannot write .: it is a directory"),
        (["--plot", "roofline.doc"], "no picture has '.doc'"),
        (["--growth", "growth.doc"], "no picture has '.doc'"),
        (["--growth", "growth.svg"], "add it"),
    ],
)
def test_command_line_errors(capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("module", ["rich", "matplotlib"])
def test_missing_module(module):
    if module == "matplotlib":
        pytest.importorskip("rich")
    code = (
        f"import sys; sys.modules[{module!r}] = None; from fastconv.__main__ import main; "
        "main(['bench', '--plot', 'roofline.svg'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f'The module {module} is missing: pip install "fastconv[bench]"\n'
