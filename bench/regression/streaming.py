"""A regression on a file that is larger than the memory it may take: time and the peak of resident memory.

Writes an array of the asked size into a temporary folder (deleted afterwards), solves it with a memory limit, and compares the
coefficients with the ones that made the response.

    cargo build --release
    bench/.venv/bin/python bench/regression/streaming.py --gigabytes 4 --limit "500 MB"
"""

import argparse
import csv
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def write(path, rows, columns, truth):
    """The array in pieces, so that this program stays small too."""
    with open(path, "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (rows, columns + 1)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, 1 << 16):
            piece = np.random.default_rng(start).standard_normal((min(1 << 16, rows - start), columns + 1))
            piece[:, 0] += piece[:, 1:] @ truth
            file.write(piece.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--columns", type=int, default=63)
    parser.add_argument("--sketch-rows", type=int, default=4096)
    parser.add_argument("--limit", default="500 MB")
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "mathesis")
    arguments = parser.parse_args()
    d = arguments.columns
    n = int(arguments.gigabytes * 1e9 / 8 / (d + 1))
    truth = np.random.default_rng(7).standard_normal(d)
    methods = {
        "sketch-and-solve, one pass": f'name = "sketch-and-solve"\nrows = {arguments.sketch_rows}\ntrue-residual = false\n',
        "sketch-and-solve, with the residual": f'name = "sketch-and-solve"\nrows = {arguments.sketch_rows}\n',
        "refined": 'name = "refined"\n',
        "normal-equations": 'name = "normal-equations"\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write(folder / "data.npy", n, d, truth)
        print(f"{n} rows, {d} columns, {(folder / 'data.npy').stat().st_size / 1e9:.2f} GB, limit {arguments.limit}\n")
        print("| method | seconds | passes | GB/s of the file | peak memory, MB | largest error against the truth | largest radius |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for name, method in methods.items():
            statement = folder / "problem.toml"
            method += f'memory-limit = "{arguments.limit}"\n'
            statement.write_text('[regression]\ndata = "data.npy"\nresponse = 1\n\n[method]\n' + method)
            start = time.perf_counter()
            run = subprocess.Popen(
                [arguments.binary, "solve", statement, "--json", "--quiet", "--output", folder / "run"],
                stdout=subprocess.PIPE,
                text=True,
            )
            output = run.stdout.read()
            _, status, usage = os.wait4(run.pid, 0)
            seconds = time.perf_counter() - start
            if status != 0:
                raise SystemExit(f"{name} failed")
            result = json.loads(output)["result"]
            with open(folder / "run" / "coefficients.csv") as file:
                rows = list(csv.DictReader(file))
            error = max(abs(float(row["value"]) - t) for row, t in zip(rows, truth))
            radius = max(float(row["radius"]) for row in rows)
            passes = 1 if "one pass" in name else 2
            if name == "refined":
                # The sketch, LSQR, and a measured residual at each start and at the end.
                passes = 2 + result["iterations"] + int(result["figures"]["lsqr-starts"])
            rate = passes * arguments.gigabytes / seconds
            print(
                f"| {name} | {seconds:.1f} | {passes} | {rate:.2f} | {usage.ru_maxrss / 1e3:.0f} | {error:.1e} | {radius:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
