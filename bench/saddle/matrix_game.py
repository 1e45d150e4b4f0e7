"""A 100 × 100 matrix game: MASHA1 on simplices, checked against SciPy's linear program.

Usage: python3 matrix_game.py PROGRAM
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from scipy.optimize import linprog

program = pathlib.Path(sys.argv[1]).resolve()
SIZE = 100
payoffs = np.random.default_rng(5).uniform(-1, 1, (4, SIZE, SIZE))
mean = payoffs.mean(axis=0)

# min over (x, v) of v subject to (meanᵀx)_j ≤ v, x on the simplex.
program_value = linprog(
    np.append(np.zeros(SIZE), 1.0),
    A_ub=np.hstack([mean.T, -np.ones((SIZE, 1))]),
    b_ub=np.zeros(SIZE),
    A_eq=np.append(np.ones(SIZE), 0.0)[None],
    b_eq=[1.0],
    bounds=[(0, None)] * SIZE + [(None, None)],
).fun

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    np.save(folder / "payoffs.npy", payoffs)
    (folder / "game.toml").write_text(
        """[saddle-point]
operator = "matrix-game"
matrices = "payoffs.npy"

[method]
name = "masha1"
step-factor = 1
worker-compressor = { name = "rand-k", fraction = 0.25 }
tolerance = 1e-4
iterations = 1000000
record-every = 500
"""
    )
    run = folder / "run"
    done = subprocess.run(
        [program, "solve", folder / "game.toml", "--json", "--quiet", "--output", run], capture_output=True, text=True
    )
    result = json.loads(done.stdout)["result"]
    z = np.load(run / "solution.npy")
x, y = z[:SIZE], z[SIZE:]
upper, lower = (mean.T @ x).max(), (mean @ y).min()
print(f"value by the linear program {program_value:.9f}")
print(f"bracket by MASHA1           [{lower:.9f}, {upper:.9f}], gap {upper - lower:.3e}, reported {result['certificate']['gap']:.3e}")
print(f"{result['iterations']} iterations, {result['seconds']:.1f} s, {result['status']}")
sums = max(abs(x.sum() - 1), abs(y.sum() - 1))
good = lower - 1e-7 <= program_value <= upper + 1e-7 and upper - lower <= 1e-4 + 1e-9 and sums < 1e-9 and z.min() >= 0
sys.exit("not as it should be" if not good else 0)
