"""Threads: the same bits however many, and in whoever's company; how many there are."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastconv
from fastconv import arrays
from fastconv.engine import METHODS
from samples import DTYPES, EVERY_PROBLEM, PROBLEMS, noise

COUNTS = (1, 2, 3, 7)

# Of a size that is worth several threads, which test_several_threads_are_used makes sure of.
SIZES = {1: 60_000, 2: 250, 3: 36}


def compute(problem, operands):
    return getattr(fastconv, problem.name)(*operands, **problem.options)


# The same bits


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
def test_several_threads_are_used(rng, problem):
    operands = problem.operands(rng, 3, SIZES[problem.rank])
    with fastconv.num_threads(7):
        used = fastconv.explain(getattr(fastconv, problem.name), *operands, **problem.options)
    assert used.threads > 1


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads(rng, problem, dtype):
    operands = problem.operands(rng, 3, SIZES[problem.rank], dtype=dtype)
    results = []
    for count in COUNTS:
        with fastconv.num_threads(count):
            results.append(compute(problem, operands))
    assert np.isfinite(results[0]).all()
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize(
    ("input", "weight"),
    [((1, 256, 7, 7), (130, 256, 3, 3)), ((1, 3, 224, 224), (16, 3, 7, 7)), ((9, 50), (30, 50))],
    ids=str,
)
def test_few_and_many_tiles(rng, input, weight):
    """One small image with many channels, one large image with few; no spatial axis at all."""
    x, w, b = noise(rng, *input), noise(rng, *weight), noise(rng, weight[0])
    convolve = fastconv.conv2d if len(input) > 2 else fastconv.pointwise_conv
    with fastconv.num_threads(1):
        expected = convolve(x, w, b)
    for count in COUNTS[1:]:
        with fastconv.num_threads(count):
            np.testing.assert_array_equal(convolve(x, w, b), expected)


@pytest.mark.parametrize("problem", **EVERY_PROBLEM)
@pytest.mark.parametrize("size", ["small", "large"])
def test_any_split_of_the_batch(rng, problem, size):
    x, *rest = problem.operands(rng, 5, 6 if size == "small" else SIZES[problem.rank] // 2)
    whole = compute(problem, [x, *rest])
    for parts in [(1, 1, 1, 1, 1), (2, 3), (4, 1)]:
        ends = np.cumsum(parts)[:-1]
        split = [compute(problem, [part, *rest]) for part in np.split(x, ends)]
        np.testing.assert_array_equal(np.concatenate(split), whole)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 14])
@pytest.mark.parametrize("kernel", [1, 3])
def test_any_number_of_small_images(rng, kernel, size):
    """Few outputs and many channels, where the best way to compute hangs on the batch."""
    x, w = noise(rng, 9, 64, size, size), noise(rng, 70, 64, kernel, kernel)
    b = noise(rng, 70)
    expected = fastconv.conv2d(x, w, b, padding=kernel // 2)
    for batch in range(1, 9):
        for count in COUNTS:
            with fastconv.num_threads(count):
                actual = fastconv.conv2d(x[:batch], w, b, padding=kernel // 2)
            np.testing.assert_array_equal(actual, expected[:batch])


@pytest.mark.parametrize(
    ("input", "weight", "dilation", "padding"),
    [
        ((3, 64, 10, 9, 7), (3, 64, 3, 6, 6), (1, 3, 3), ((1, 2), (12, 1), (14, 3))),
        ((3, 128, 9, 9), (40, 128, 3, 3), 5, 5),
        ((3, 160, 17, 17), (160, 160, 3, 3), 8, 8),
        ((3, 256, 40), (20, 256, 3), 30, 30),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_taps_that_are_left_out(rng, dtype, input, weight, dilation, padding):
    """Channels in parts, whose number is part of the order of the sums."""
    x, w = noise(rng, *input, dtype=dtype), noise(rng, *weight, dtype=dtype)
    options = {"dilation": dilation, "padding": padding, "method": "direct"}
    expected = fastconv.conv(x, w, **options)
    for batch in (1, 2, 3):
        for count in COUNTS:
            with fastconv.num_threads(count):
                for given in (w, fastconv.pack(w)):
                    actual = fastconv.conv(x[:batch], given, **options)
                    np.testing.assert_array_equal(actual, expected[:batch])


# Python threads


def at_once(*functions):
    """Start the functions at the same moment; their results."""
    gate = threading.Barrier(len(functions), timeout=60)

    def run(function):
        gate.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(run, function) for function in functions]
        return [future.result(timeout=60) for future in futures]


@pytest.mark.parametrize("count", [1, 2])
def test_python_threads_call_at_once(rng, count):
    """Each its own problem, over and over."""
    operands = [problem.operands(rng, 2, SIZES[problem.rank] // 3) for problem in PROBLEMS]
    expected = list(map(compute, PROBLEMS, operands))

    def caller(first):
        def run():
            with fastconv.num_threads(count):
                for i in range(len(PROBLEMS)):
                    i = (first + i) % len(PROBLEMS)
                    actual = compute(PROBLEMS[i], operands[i])
                    np.testing.assert_array_equal(actual, expected[i], PROBLEMS[i].name)

        return run

    at_once(*(caller(first) for first in (0, 5, 10, 15)))


def test_python_threads_share_the_operands_of_a_first_call(rng):
    """Shapes never seen before, wanted by all at the same time."""
    w = noise(rng, 8, 3, 3, 3)
    for width in range(101, 131):
        x = noise(rng, 2, 3, 20, width)
        results = at_once(*[lambda x=x: fastconv.conv2d(x, w, padding=1)] * 4)
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])


def test_python_threads_meet_in_every_cache(rng, monkeypatch):
    """Many shapes by all methods, in an order of each thread's own.

    Meanwhile plans are forgotten, weights are packed, workspaces change hands.
    """
    monkeypatch.setattr(arrays, "_MOST_CALLS", 8)
    weights = [noise(rng, channels, 4, 3, 3) for channels in (1, 6, 20)]
    cases = [
        (noise(rng, 2, 4, 9 + i, 30 - 2 * i), weight, fastconv.pack(weight), method)
        for i in range(6)
        for weight in weights
        for method in METHODS
    ]
    expected = [fastconv.conv2d(x, w, method=method) for x, w, _, method in cases]

    def caller(order):
        def run():
            for i in order:
                x, _, packed, method = cases[i]
                actual = fastconv.conv2d(x, packed, method=method)
                np.testing.assert_array_equal(actual, expected[i])
                assert packed.nbytes >= packed.array.nbytes

        return run

    at_once(*(caller(rng.permutation(len(cases))) for _ in range(8)))


# Processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("in_child", ["pass", "fastconv.set_num_threads(3)"])
def test_fork_after_computing_with_threads(python, in_child):
    """The child, and its own child, compute what the parent did; the alarm ends one that hangs."""
    python(
        "-c",
        f"""
import os, signal
import numpy as np
import fastconv

rng = np.random.default_rng(0)
x = rng.standard_normal((4, 16, 100, 100))
w = rng.standard_normal((16, 16, 3, 3))
fastconv.set_num_threads(4)
assert fastconv.explain(fastconv.conv2d, x, w).threads > 1
expected = fastconv.conv2d(x, w)

def same():
    return np.array_equal(fastconv.conv2d(x, w), expected)

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0

def work():
    {in_child}
    transposed = fastconv.conv_transpose2d(expected, w, stride=2)
    return same() and np.isfinite(transposed).all()

assert in_child(work), "the child failed or hung"
assert in_child(lambda: same() and in_child(work)), "the grandchild failed or hung"
assert same() and fastconv.get_num_threads() == 4, "the parent is not what it was"
""",
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_threads_of_fourier_transforms(python):
    """Those that wait for work are not in the child; nor are they OpenMP's."""
    python(
        "-c",
        """
import os, signal
import numpy as np
import fastconv.signal

fastconv.set_num_threads(3)
x, h = np.arange(200_000.0) % 100, np.arange(3000.0) % 7

def convolved():
    return fastconv.signal.fftconvolve(x, h)

expected = convolved()
child = os.fork()
if child == 0:
    signal.alarm(40)
    os._exit(0 if all(np.array_equal(convolved(), expected) for _ in range(2)) else 1)
assert os.waitpid(child, 0)[1] == 0, "the child failed or hung"
assert np.array_equal(convolved(), expected)
""",
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_before_computing(python):
    """A child of a process that has not computed yet may use all its threads."""
    python(
        "-c",
        """
import os, signal
import numpy as np
import fastconv

x, w = np.ones((4, 16, 100, 100)), np.ones((16, 16, 3, 3))
fastconv.set_num_threads(4)
child = os.fork()
signal.alarm(40)
y = fastconv.conv2d(x, w)
assert abs(y - 144).max() < 1e-11
assert fastconv.get_num_threads() == 4
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
    )


# Jobs that threads share


def test_a_call_does_not_wait_for_threads_that_others_keep_busy():
    """Nor does what one of its jobs raises get lost."""
    from fastconv.engine import fourier

    begun, free = threading.Event(), threading.Event()
    busy = [
        fourier._helpers(2).submit(lambda: (begun.set(), free.wait(60))) for _ in range(2)
    ]  # fmt: skip
    try:
        assert begun.wait(60)
        done = []
        fourier.share(done.append, [(i,) for i in range(5)], 3)
        assert done == list(range(5))
        with pytest.raises(ZeroDivisionError):
            fourier.share(lambda i: 1 // i, [(i,) for i in range(5)], 3)
    finally:
        free.set()
    assert all(one.result(60) for one in busy)
    done = []
    fourier.share(done.append, [(i,) for i in range(500)], 3)
    assert sorted(done) == list(range(500))


# How many


def test_block_of_code():
    before = fastconv.get_num_threads()
    with fastconv.num_threads(3):
        assert fastconv.get_num_threads() == 3
        with fastconv.num_threads(np.int64(5)):
            assert fastconv.get_num_threads() == 5
        assert fastconv.get_num_threads() == 3
    assert fastconv.get_num_threads() == before


def test_block_of_code_left_by_an_error():
    before = fastconv.get_num_threads()
    with pytest.raises(KeyError), fastconv.num_threads(before + 1):
        raise KeyError
    assert fastconv.get_num_threads() == before


def test_explanation_follows(rng):
    x, w = noise(rng, 8, 16, 100, 100), noise(rng, 16, 16, 3, 3)
    for count in COUNTS:
        with fastconv.num_threads(count):
            assert fastconv.explain(fastconv.conv2d, x, w).threads == count


def test_set_num_threads_holds_for_the_process(python):
    output = python(
        "-c",
        """
import threading
import numpy as np
import fastconv

fastconv.set_num_threads(3)
print(fastconv.get_num_threads())
other = threading.Thread(target=lambda: print(fastconv.get_num_threads()))
other.start()
other.join()
with fastconv.num_threads(2):
    print(fastconv.get_num_threads())
fastconv.set_num_threads(np.int64(9))
print(fastconv.get_num_threads())
""",
    )
    assert output.split() == ["3", "3", "2", "9"]


PRINT_THREADS = "import fastconv; print(fastconv.get_num_threads())"


@pytest.mark.parametrize(
    ("fastconv_threads", "openmp_threads", "expected"),
    [("5", None, 5), (None, "3", 3), ("5", "3", 5), ("1", "3", 1), ("", "3", 3)],
)
def test_environment(python, fastconv_threads, openmp_threads, expected):
    output = python(
        "-c",
        PRINT_THREADS,
        FASTCONV_NUM_THREADS=fastconv_threads,
        OMP_NUM_THREADS=openmp_threads,
    )
    assert int(output) == expected


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_environment_is_checked(python, text):
    output = python(
        "-c",
        """
try:
    import fastconv
except ValueError as error:
    print(error)
""",
        FASTCONV_NUM_THREADS=text,
    )
    assert "FASTCONV_NUM_THREADS" in output and text in output


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity(python):
    output = python(
        "-c",
        f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {PRINT_THREADS}",
        FASTCONV_NUM_THREADS=None,
        OMP_NUM_THREADS=None,
    )
    assert int(output) == 1


def test_threadpoolctl_limits(python):
    """For the default and for a number that was set; leaving a block restores what was."""
    output = python(
        "-c",
        """
import numpy as np
from threadpoolctl import threadpool_limits
import fastconv

x, w = np.ones((8, 16, 100, 100)), np.ones((16, 16, 3, 3))

def show():
    print(fastconv.get_num_threads(), fastconv.explain(fastconv.conv2d, x, w).threads)

show()
with threadpool_limits(1):
    show()
with fastconv.num_threads(6):
    show()
with threadpool_limits(2, user_api="openmp"):
    show()
    fastconv.set_num_threads(7)
    show()
show()
""",
        FASTCONV_NUM_THREADS=None,
        OMP_NUM_THREADS="4",
    )
    counts = [tuple(map(int, line.split())) for line in output.splitlines()]
    assert counts == [(n, n) for n in (4, 1, 6, 2, 2, 7)]


def test_threadpoolctl_limits_change_no_bit(rng):
    x, w = noise(rng, 3, 8, 90, 90), noise(rng, 12, 8, 3, 3)
    expected = fastconv.conv2d(x, w)
    with threadpool_limits(1):
        np.testing.assert_array_equal(fastconv.conv2d(x, w), expected)
