"""Pressure systems of Kaneda et al. (ICML 2023), solved by Mathesis, SciPy, ilupp and PyAMG.

Each scene is built here by the rule of the book's page on pressure grids, and again by Mathesis from a problem file; equal
iteration counts of plain conjugate gradients show that the systems are the same. All runs stop at the same relative residual.

The last column, processor seconds of all threads together, hardly depends on what else the machine does. For Mathesis it is that
of the whole program, reading the problem and writing the report included; for the others of setup and solve alone.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

MATHESIS_METHODS = [
    "conjugate-gradient",
    "deflated",
    "incomplete-cholesky",
    "modified-incomplete-cholesky",
    "algebraic-multigrid",
    "multigrid",
]


def solid_cells(n, scene, data):
    if scene == "empty":
        return np.zeros((n, n, n), bool)
    if scene == "sphere":
        distance = np.indices((n, n, n)) - (n - 1) / 2
        return (distance**2).sum(axis=0) < (n / 5) ** 2
    bits = np.fromfile(data / f"bunny-voxels/bunny{n}.bits", np.uint8)
    return np.unpackbits(bits, bitorder="little").reshape(n, n, n).astype(bool)


def pressure_system(solid, closed, point_source):
    """The matrix of the fluid cells and the right side."""
    fluid = ~solid
    n = fluid.shape[0]
    number = np.cumsum(fluid).reshape(fluid.shape) - 1
    diagonal = np.zeros(fluid.shape)
    rows, columns = [], []
    for axis in range(3):
        low, high = [[slice(None)] * 3 for _ in range(2)]
        low[axis], high[axis] = slice(0, n - 1), slice(1, n)
        both = fluid[tuple(low)] & fluid[tuple(high)]
        diagonal[tuple(low)] += both
        diagonal[tuple(high)] += both
        rows += [number[tuple(low)][both], number[tuple(high)][both]]
        columns += [number[tuple(high)][both], number[tuple(low)][both]]
        if not closed:
            for end in (0, n - 1):
                face = [slice(None)] * 3
                face[axis] = end
                diagonal[tuple(face)] += 1
    count = int(fluid.sum())
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.coo_matrix((-np.ones(len(rows)), (rows, columns)), (count, count)).tocsr()
    matrix = (matrix + sparse.diags(diagonal[fluid])).tocsr()
    if point_source:
        b = np.zeros(count)
        b[count // 3] = 1
    else:
        w = np.ones((n, n, n + 1))
        w[:, :, :-1][solid] = 0
        w[:, :, 1:][solid] = 0
        if closed:
            w[:, :, [0, -1]] = 0
        b = -(w[:, :, 1:] - w[:, :, :-1])[fluid]
    return matrix, b - b.mean() if closed else b


def python_methods(matrix, b, tolerance, wanted, with_pyamg):
    def conjugate_gradient(preconditioner):
        iterations = 0
        norm = np.linalg.norm(b)

        def count(x):
            nonlocal iterations
            iterations += 1

        start, cpu = time.perf_counter(), time.process_time()
        x, _ = linalg.cg(matrix, b, rtol=tolerance, atol=0, maxiter=10_000, M=preconditioner, callback=count)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return iterations, seconds, np.linalg.norm(b - matrix @ x) / norm, cpu

    if "scipy" in wanted:
        yield "SciPy CG", 0.0, *conjugate_gradient(None)
    if "ilupp" in wanted:
        import ilupp

        start, cpu = time.perf_counter(), time.process_time()
        factor = ilupp.IChol0Preconditioner(matrix)
        setup, cpu = time.perf_counter() - start, time.process_time() - cpu
        iterations, seconds, residual, solve_cpu = conjugate_gradient(factor)
        yield "SciPy CG + ilupp IC(0)", setup, iterations, seconds, residual, cpu + solve_cpu
    if "pyamg" in wanted:
        import pyamg

        for name, make in with_pyamg:
            start, cpu = time.perf_counter(), time.process_time()
            hierarchy = make(pyamg, matrix)
            setup = time.perf_counter() - start
            residuals = []
            start = time.perf_counter()
            x = hierarchy.solve(b, tol=tolerance, accel="cg", maxiter=200, residuals=residuals)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            true = np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)
            yield name, setup, len(residuals) - 1, seconds, true, cpu


def run_mathesis(program, n, scene, outside, method, tolerance, data, threads):
    obstacle = {"empty": "none", "sphere": "sphere"}.get(scene, str(data / f"bunny-voxels/bunny{n}.bits"))
    load = "point-source" if scene == "empty" else "flow-past-obstacle"
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.toml"
        problem.write_text(
            f"[linear-system.grid]\ncells = [{n}, {n}, {n}]\nobstacle = {json.dumps(obstacle)}\n"
            f'outside = "{outside}"\n[linear-system]\nright-side = "{load}"\n'
            f'[method]\nname = "{method}"\ntolerance = {tolerance}\n'
        )
        command = [program, "solve", problem, "--output", Path(folder) / "run", "--json", "--quiet"]
        if threads:
            command += ["--threads", str(threads)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run(command, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if answer.returncode not in (0, 1):
            raise SystemExit(answer.stderr)
        with open(Path(folder) / "run/history.csv") as file:
            history = [(int(r["iteration"]), float(r["relative_residual"])) for r in csv.DictReader(file)]
        result = json.loads(answer.stdout)["result"]
        loose = next((i for i, residual in history if residual <= 1e-4), None)
        setup = result["setup_seconds"]
        return setup, loose, result["iterations"], result["seconds"] - setup, result["relative_residual"], cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/release/mathesis")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MATHESIS_DATA", "data")))
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, help="threads of Mathesis [default: one for each core]")
    parser.add_argument("--peers", default="scipy,ilupp,pyamg", help="which of these to run; empty for none")
    parser.add_argument("--methods", default=",".join(MATHESIS_METHODS))
    parser.add_argument("scenes", nargs="*", default=["64-bunny-open", "64-bunny-closed", "128-bunny-open"])
    arguments = parser.parse_args()
    peers = [peer for peer in arguments.peers.split(",") if peer]
    print("| scene | method | setup s | iterations (to 1e-4) | solve s | total s | residual | CPU s |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")

    def row(scene, method, setup, iterations, seconds, residual, cpu):
        times = f"{setup:.2f} | {iterations} | {seconds:.2f} | {setup + seconds:.2f}"
        print(f"| {scene} | {method} | {times} | {residual:.1e} | {cpu:.2f} |", flush=True)

    for name in arguments.scenes:
        n, scene, outside = name.split("-")
        n = int(n)
        for method in filter(None, arguments.methods.split(",")):
            setup, loose, iterations, seconds, residual, cpu = run_mathesis(
                arguments.program, n, scene, outside, method, arguments.tolerance, arguments.data, arguments.threads
            )
            row(name, f"Mathesis {method}", setup, f"{iterations} ({loose})", seconds, residual, cpu)
        if peers:
            matrix, b = pressure_system(solid_cells(n, scene, arguments.data), outside == "closed", scene == "empty")
            # Ruge-Stüben is PyAMG's best where its memory suffices, smoothed aggregation beyond.
            amg = [("PyAMG smoothed aggregation + CG", lambda pyamg, a: pyamg.smoothed_aggregation_solver(a))]
            if n <= 64:
                amg.append(("PyAMG Ruge-Stüben + CG", lambda pyamg, a: pyamg.ruge_stuben_solver(a)))
            for method, setup, iterations, seconds, residual, cpu in python_methods(
                matrix, b, arguments.tolerance, peers, amg
            ):
                row(name, method, setup, iterations, seconds, residual, cpu)


if __name__ == "__main__":
    main()
