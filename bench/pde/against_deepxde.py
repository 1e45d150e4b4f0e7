"""GP-HM, Chebyshev collocation and a plain physics-informed network on the same one-dimensional problems.

The network is DeepXDE's: four hidden layers of 50 tanh units, Adam at 1e-3, all grid points of the published problem as
residual points, conditions as soft penalties with weight 200. It trains for as long as the paper's inference (Adam on the
Gaussian process, `--steps` updates) took in the same run; the relative L2 error is taken on the same 300 points.

    python3 -m venv bench/.venv && bench/.venv/bin/pip install -r bench/requirements.txt
    cargo build --release
    bench/.venv/bin/python bench/pde/against_deepxde.py --steps 20000
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DDE_BACKEND", "jax")
import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "release" / "mathesis"

# Length of the interval, grid points, exact solution.
PROBLEMS = {
    "u1": (2 * np.pi, 400, lambda x: np.sin(100 * x)),
    "u2": (1.0, 900, lambda x: np.sin(x) + 0.1 * np.sin(20 * x) + 0.05 * np.sin(100 * x)),
    "u3": (2 * np.pi, 400, lambda x: np.sin(6 * x) * np.cos(100 * x)),
    "u4": (2 * np.pi, 900, lambda x: x * np.sin(200 * x)),
    "u5": (1.0, 400, lambda x: np.sin(500 * x) - 2 * (x - 0.5) ** 2),
}


def mathesis(problem, change):
    """Error and seconds of a run of the published problem with lines of its [method] table changed."""
    text = (ROOT / "experiments" / "gp-hm" / "problems" / f"{problem}.toml").read_text()
    head = text[: text.index("[method]")]
    table = {} if "name" in change else dict(line.split(" = ") for line in text[text.index("[method]") :].splitlines()[1:] if line)
    table |= change
    text = head + "[method]\n" + "".join(f"{key} = {value}\n" for key, value in table.items() if value is not None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.toml"
        file.write_text(text)
        run = subprocess.run(
            [BINARY, "solve", file, "--json", "--output", Path(folder) / "run"], capture_output=True, text=True, check=False
        )
        if run.returncode == 2 or not run.stdout:
            raise SystemExit(f"{problem}: {run.stderr}")
        record = json.loads(run.stdout)
    return record


def network(problem, seconds):
    """Error of the network after training for so many seconds (compilation not counted), and its number of steps."""
    import deepxde as dde

    length, points, exact = PROBLEMS[problem]
    dde.config.set_default_float("float32")
    dde.config.set_random_seed(0)

    def residual(x, y):
        second, _ = dde.grad.hessian(y, x)
        import jax.numpy as jnp

        value = {
            "u1": lambda t: -1e4 * jnp.sin(100 * t),
            "u2": lambda t: -jnp.sin(t) - 40 * jnp.sin(20 * t) - 500 * jnp.sin(100 * t),
            "u3": lambda t: -10036 * jnp.sin(6 * t) * jnp.cos(100 * t) - 1200 * jnp.cos(6 * t) * jnp.sin(100 * t),
            "u4": lambda t: 400 * jnp.cos(200 * t) - 40000 * t * jnp.sin(200 * t),
            "u5": lambda t: -250000 * jnp.sin(500 * t) - 4,
        }[problem](x)
        return second - value

    interval = dde.geometry.Interval(0, length)
    condition = dde.icbc.DirichletBC(interval, exact, lambda _, on_boundary: on_boundary)
    data = dde.data.PDE(interval, residual, condition, num_domain=points - 2, num_boundary=2, train_distribution="uniform")
    model = dde.Model(data, dde.nn.FNN([1] + [50] * 4 + [1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-3, loss_weights=[1, 200])
    model.train(iterations=200, verbose=0)
    start, steps = time.perf_counter(), 200
    while time.perf_counter() - start < seconds:
        model.train(iterations=500, verbose=0)
        steps += 500
    x = np.linspace(0, length, 300)[:, None]
    predicted, truth = np.asarray(model.predict(x)), exact(x)
    return float(np.linalg.norm(predicted - truth) / np.linalg.norm(truth)), steps


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=20000)
    arguments.add_argument("--problems", default="u1,u2,u3,u4,u5")
    options = arguments.parse_args()
    print("| problem | method | relative L2 error | seconds |\n|---|---|---|---|")
    for problem in options.problems.split(","):
        rows = []
        adam = mathesis(problem, {"kernel": '"gaussian-mixture"', "steps": options.steps})
        seconds = adam["result"]["seconds"]
        figures = adam["result"]["figures"]
        rows.append((f"gp-hm, Adam, {options.steps} steps (best checkpoint)", figures["error-best-checkpoint"], seconds))
        rows.append(("gp-hm, Adam (smallest criterion)", adam["result"]["certificate"]["error"][0], seconds))
        profiled = mathesis(problem, {"kernel": '"gaussian-mixture"', "inference": '"profiled"', "change-point": None})
        rows.append(("gp-hm, profiled", profiled["result"]["certificate"]["error"][0], profiled["result"]["seconds"]))
        collocation = mathesis(problem, {"name": '"collocation"'})
        rows.append(("Chebyshev collocation", collocation["result"]["certificate"]["error"][0], collocation["result"]["seconds"]))
        error, steps = network(problem, seconds)
        rows.append((f"DeepXDE network, {steps} steps", error, seconds))
        for name, error, seconds in rows:
            print(f"| {problem} | {name} | {error:.2g} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
