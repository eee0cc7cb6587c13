"""The performance history, from a run of asv to a slowdown on the dashboard's list."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv

pytest.importorskip("asv")
if shutil.which("git") is None:
    pytest.skip("git is needed", allow_module_level=True)

TOP = Path(__file__).parents[1]
ASV = sys.executable, "-m", "asv"
MEASURES = "time_call", "track_ratio", "track_gflops", "peakmem_call"
TIME, RATIO, GFLOPS, MEMORY = (f"convolutions.Depthwise.{name}" for name in MEASURES)
COMMITS, FIRST_SLOW = 12, 7
#: Where MobileNet's is among the layers of the class: it becomes slower.
LAYER = 1
DAY = 86_400_000  # ms


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A repository with nothing but the benchmarks; give its folder of asv, and its commits."""
    home = tmp_path_factory.mktemp("history")
    for part in (Path("asv_bench"), Path("fastconv", "bench")):
        ignored = shutil.ignore_patterns("env", "results", "html", ".asv", "__pycache__")
        shutil.copytree(TOP / part, home / part, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))  # where asv keeps what it knows of the machine
        patch.setenv("ASV_PYTHONPATH", str(Path(fastconv.__file__).parents[1]))
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "nobody")
            patch.setenv(f"GIT_{who}_EMAIL", "nobody@example.org")
        run("git", "init", "--quiet", "--initial-branch=main", folder=home)
        for number in range(COMMITS):
            patch.setenv("GIT_COMMITTER_DATE", f"2026-01-{number + 1:02}T12:00:00")
            run("git", "commit", "--quiet", "--allow-empty", "-m", str(number), folder=home)
        commits = run("git", "log", "--reverse", "--format=%H", folder=home).split()
        run(*ASV, "machine", "--yes", folder=home / "asv_bench")
        yield home / "asv_bench", commits


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(path):
    return json.loads(path.read_text("utf-8"))


def test_chain(scratch):
    """Two commits are measured; of ten more, some results are made slower than the second's."""
    folder, commits = scratch
    for commit in commits[:2]:
        options = ["--quick", "--python=same", "--set-commit-hash", commit]
        run(*ASV, "run", *options, "--bench", "Depthwise.*MobileNet", folder=folder)
    assert len(list(folder.glob("results/*/*-existing*.json"))) == 2
    second = next(folder.glob(f"results/*/{commits[1][:8]}-*.json"))
    measured = read(second)
    assert measured["results"].keys() == {TIME, RATIO, GFLOPS, MEMORY}
    for result in measured["results"].values():
        assert result[0][LAYER] > 0

    for number, commit in enumerate(commits):
        made = json.loads(second.read_text("utf-8"))
        made |= {"commit_hash": commit, "date": measured["date"] + number * DAY}
        for name, result in made["results"].items():
            slow = number >= FIRST_SLOW and name in (TIME, GFLOPS)
            result[0][LAYER] *= (1 + number % 3 / 100) * (2 if slow else 1)
        (second.parent / second.name.replace(commits[1][:8], commit[:8])).write_text(
            json.dumps(made)
        )
    run(*ASV, "publish", folder=folder)

    index = read(folder / "html" / "index.json")
    assert {name: index["benchmarks"][name]["pretty_name"] for name in measured["results"]} == {
        TIME: "Depthwise: time",
        RATIO: "Depthwise: time beside numpy.correlate",
        GFLOPS: "Depthwise: GFLOP/s",
        MEMORY: "Depthwise: peak memory",
    }
    assert index["benchmarks"][GFLOPS]["unit"] == "GFLOP/s"
    layers = index["benchmarks"][TIME]["params"][0]
    assert layers[LAYER] == "'MobileNet conv3_1/dw: 128→128, 3x3 on 56x56, 128 groups'"

    # GFLOP/s rise as well, but that is no regression.
    found = read(folder / "html" / "regressions.json")["regressions"]
    assert [name for name, *_ in found] == [f"{TIME}({layers[LAYER]})"]
    ((_, slow, before, after),) = found[0][-1]
    assert index["revision_to_hash"][str(slow)] == commits[FIRST_SLOW]
    assert after > 1.9 * before
