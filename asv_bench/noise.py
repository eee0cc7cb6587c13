"""How far the same commit strays from itself: run this on a quiet machine.

What is installed is measured ten times, as if it were the ten newest commits. All that asv finds
between them is noise. For each kind of benchmark the table tells by how much a result differs from
the median of its row, and how many rows asv would report as regressions at some thresholds.
`asv publish --config .asv/noise/asv.conf.json` draws them.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from asv.results import iter_results
from asv.step_detect import detect_regressions, detect_steps

HERE = Path(__file__).parent
FOLDER = HERE / ".asv" / "noise"
RESULTS = FOLDER / "results"
CONFIG = FOLDER / "asv.conf.json"
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)


def measure(runs, bench, options):
    """Run what is installed so many times, each time under the name of another commit."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = json.loads((HERE / "asv.conf.json").read_text())
    folders = {name: str(HERE / config[name]) for name in ("repo", "benchmark_dir", "env_dir")}
    folders |= {"results_dir": str(RESULTS), "html_dir": str(FOLDER / "html")}
    CONFIG.write_text(json.dumps(config | folders))
    log = ["git", "log", "--first-parent", f"--max-count={runs}", "--format=%H", "--reverse"]
    commits = subprocess.check_output([*log, *config["branches"]], cwd=HERE, text=True).split()
    for commit in commits:
        run = ["asv", "run", "--config", str(CONFIG), "--bench", bench, "--set-commit-hash", commit]
        subprocess.run([*run, *(options or ["--python=same"])], check=True)


def rows():
    """Give the results of each row in the order of the commits, by kind of benchmark."""
    found = defaultdict(lambda: defaultdict(list))
    for result in sorted(iter_results(str(RESULTS)), key=lambda result: result.date):
        for name in result.get_all_result_keys():
            values = result.get_result_value(name, result.get_result_params(name))
            for row, value in enumerate(values):
                found[name.rpartition(".")[2]][name, row].append(value)
    return found


def table():
    """Write what the rows have in common as a table in Markdown."""
    heads = ["benchmarks", "rows", "median", "95 %", "largest"]
    heads += [f"over {threshold:.0%}" for threshold in THRESHOLDS]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for kind, series in sorted(rows().items()):
        values = np.array(list(series.values()), np.float64)
        off = np.abs(values / np.median(values, axis=1, keepdims=True) - 1)
        figures = [f"{figure:.1%}" for figure in np.percentile(off, (50, 95, 100))]
        steps = [detect_steps(row) for row in values]
        found = [
            sum(detect_regressions(each, threshold)[0] is not None for each in steps)
            for threshold in THRESHOLDS
        ]
        lines.append([kind, len(values), *figures, *found])
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="Further options are those of asv run."
    )
    parser.add_argument("--runs", type=int, default=10, help="how often to measure (%(default)s)")
    parser.add_argument("--bench", default="time_call|track_ratio", help="which (%(default)s)")
    chosen, others = parser.parse_known_args()
    measure(chosen.runs, chosen.bench, others)
    sys.stdout.write(table())
