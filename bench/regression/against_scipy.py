"""Sketched regression, QR and normal equations beside SciPy on the same matrix, in one run.

Values first: every method's coefficients are compared with those of SciPy's lstsq (gelsd). Then time: the medians of the
repetitions, in which the programs take turns. SciPy: `linalg.lstsq` (gelsd and gelsy), normal equations by `cho_factor`, and
`clarkson_woodruff_transform` (CountSketch) followed by lstsq. Reading the file is in no figure.

    python3 -m venv bench/.venv && bench/.venv/bin/pip install -r bench/requirements.txt
    cargo build --release
    bench/.venv/bin/python bench/regression/against_scipy.py
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

THREADS = os.environ.setdefault("OPENBLAS_NUM_THREADS", str(os.cpu_count()))

import numpy as np  # noqa: E402
import scipy  # noqa: E402
from scipy import linalg  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def mathesis(binary, folder, method):
    """Coefficients and seconds of a method on the array that lies in the folder."""
    statement = folder / "problem.toml"
    statement.write_text('[regression]\ndata = "data.npy"\nresponse = 1\n\n[method]\n' + method)
    run = subprocess.run(
        [binary, "solve", statement, "--json", "--quiet", "--threads", THREADS, "--output", folder / "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not run.stdout:
        raise SystemExit(f"{method}: {run.stderr}")
    result = json.loads(run.stdout)["result"]
    with open(folder / "run" / "coefficients.csv") as file:
        x = np.array([float(row["value"]) for row in csv.DictReader(file)])
    return x, result["seconds"]


def normal_equations(a, b):
    return linalg.cho_solve(linalg.cho_factor(a.T @ a, check_finite=False), a.T @ b)


def clarkson_woodruff(a, b, m, seed):
    sketched = linalg.clarkson_woodruff_transform(np.column_stack([a, b]), m, seed)
    return linalg.lstsq(sketched[:, :-1], sketched[:, -1], check_finite=False)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=131072)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--sketch-rows", type=int, default=4096)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "mathesis")
    arguments = parser.parse_args()
    n, d, m = arguments.rows, arguments.columns, arguments.sketch_rows

    random = np.random.default_rng(1)
    data = random.standard_normal((n, d + 1))
    data[:, 0] += data[:, 1:] @ random.standard_normal(d)
    a, b = np.ascontiguousarray(data[:, 1:]), data[:, 0].copy()
    tall = np.asfortranarray(a)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "data.npy", data)
        del data
        ours = {
            "mathesis sketch-and-solve, srht": f'name = "sketch-and-solve"\nrows = {m}\n',
            "mathesis sketch-and-solve, pooled": f'name = "sketch-and-solve"\nrows = {m}\nsketch = "balanced-gaussian-pooling"\n',
            "mathesis sketch-and-solve, count-sketch": f'name = "sketch-and-solve"\nrows = {m}\nsketch = "count-sketch"\n',
            "mathesis refined": 'name = "refined"\n',
            "mathesis householder": 'name = "householder"\n',
            "mathesis normal-equations": 'name = "normal-equations"\n',
        }
        theirs = {
            "SciPy lstsq (gelsd)": lambda k: linalg.lstsq(tall, b, check_finite=False)[0],
            "SciPy lstsq (gelsy)": lambda k: linalg.lstsq(tall, b, check_finite=False, lapack_driver="gelsy")[0],
            "SciPy normal equations": lambda k: normal_equations(a, b),
            "SciPy clarkson_woodruff + lstsq": lambda k: clarkson_woodruff(a, b, m, k),
        }
        runs = {name: [] for name in [*ours, *theirs]}
        for k in range(arguments.repetitions):
            for name, method in ours.items():
                runs[name].append(mathesis(arguments.binary, folder, method))
            for name, solve in theirs.items():
                start = time.perf_counter()
                x = solve(k)
                runs[name].append((x, time.perf_counter() - start))

    exact = runs["SciPy lstsq (gelsd)"][0][0]
    residual = np.linalg.norm(a @ exact - b)
    smallest = linalg.svdvals(linalg.qr(tall, mode="r", check_finite=False)[0][:d])[-1]
    print(f"n = {n}, d = {d}, m = {m}; {THREADS} threads; SciPy {scipy.__version__}, NumPy {np.__version__}\n")
    print("| method | largest error of a coefficient | ratio √d‖x−x*‖∞/(‖r‖‖A†‖) | seconds, median | all |")
    print("|---|---:|---:|---:|---|")
    for name, results in runs.items():
        error = max(np.abs(x - exact).max() for x, _ in results)
        seconds = [s for _, s in results]
        every = ", ".join(f"{s:.2f}" for s in seconds)
        ratio = np.sqrt(d) * error * smallest / residual
        print(f"| {name} | {error:.1e} | {ratio:.2g} | {statistics.median(seconds):.2f} | {every} |")


if __name__ == "__main__":
    main()
