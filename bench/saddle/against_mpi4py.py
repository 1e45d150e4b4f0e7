"""Time for an iteration, bytes and distance of extragradient, QSGD and MASHA over MPI: ours and mpi4py's, on 1 to 4 workers.

Usage: python3 against_mpi4py.py PROGRAM
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

program = pathlib.Path(sys.argv[1]).resolve()
here = pathlib.Path(__file__).resolve().parent
ITERATIONS = 2000
OURS = {
    "extragradient": 'name = "distributed-extragradient"',
    "extragradient, QSGD 15 levels": 'name = "compressed-extragradient"\n'
    'worker-compressor = { name = "dithering", levels = 15 }\nserver-compressor = { name = "dithering", levels = 15 }',
    "MASHA1 Rand-10%": 'name = "masha1"\nstep-factor = 1\nworker-compressor = { name = "rand-k", fraction = 0.1 }',
    "MASHA2 Top-10%": 'name = "masha2"\nstep-factor = 0.5\nworker-compressor = { name = "top-k", fraction = 0.1 }',
}
FILE = """[saddle-point]
operator = "regularised-bilinear"
dimension = 100
workers = {workers}
condition = 100
heterogeneity = 5
seed = 1

[method]
{method}
iterations = {iterations}
record-every = {record}
tolerance = {tolerance}
"""
# One thread each, so that ranks and not libraries share the cores; the processes are many on few cores.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


def mpirun(ranks, *command):
    launch = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), *map(str, command)]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    text = done.stdout[done.stdout.find("{") :]
    if not text:
        sys.exit(f"{' '.join(launch)}:\n{done.stdout}{done.stderr}")
    return json.loads(text[: text.rfind("}") + 1])


def ours(method, workers, iterations, tolerance):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "problem.toml"
        record = iterations if tolerance == 0 else 20
        text = FILE.format(workers=workers, method=method, iterations=iterations, record=record, tolerance=tolerance)
        file.write_text(text)
        command = [program, "solve", file, "--json", "--quiet", "--output", pathlib.Path(folder) / "run"]
        return mpirun(workers + 1, *command)["result"]


print("| workers | method | program | time an iteration | bytes a worker and iteration | relative distance |")
print("|---|---|---|---|---|---|")
for workers in [1, 2, 3, 4]:
    for name, kind in [("extragradient", "plain"), ("extragradient, QSGD 15 levels", "qsgd")]:
        peer = mpirun(workers + 1, sys.executable, here / "extragradient_mpi4py.py", kind, ITERATIONS)
        print(
            f"| {workers} | {name} | mpi4py | {1e6 * peer['seconds']:.0f} µs | {peer['bytes']:.0f} | {peer['distance']:.1e} |",
            flush=True,
        )
    for name, method in OURS.items():
        result = ours(method, workers, ITERATIONS, 0)
        each = result["bytes_up"] / workers / result["iterations"]
        print(
            f"| {workers} | {name} | mathesis | {1e6 * result['seconds'] / result['iterations']:.0f} µs | {each:.0f} | "
            f"{result['certificate']['distance']:.1e} |",
            flush=True,
        )

print("\n| workers | method | kB sent by a worker to 1e-6 | iterations | time |")
print("|---|---|---|---|---|")
for workers in [1, 2, 3, 4]:
    for name, method in OURS.items():
        if "QSGD" in name:
            continue
        result = ours(method, workers, 200000, 1e-6)
        print(
            f"| {workers} | {name} | {result['bytes_up'] / workers / 1e3:.0f} | {result['iterations']} | "
            f"{result['seconds']:.2f} s |",
            flush=True,
        )
