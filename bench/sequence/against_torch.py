"""Gated linear attention of this workspace beside PyTorch: values first, then times, in one run.

Usage: python against_torch.py PROGRAM

PROGRAM is the built example `gated_linear_attention` (see README.md). Values and gradients are compared with the recurrence written in
PyTorch, in double precision, token by token; times with PyTorch's causal softmax attention of the same head sizes. Both sides use as
many threads as RAYON_NUM_THREADS says (2 without it).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import torch

HEADS, KEY, VALUE = 4, 128, 256
THREADS = int(os.environ.get("RAYON_NUM_THREADS", "2"))


def operands(tokens, key, value, seed):
    """Normal queries, keys and values; log gates ln σ(x) / 16, as the layer makes them."""
    generator = numpy.random.default_rng(seed)
    draw = lambda width: generator.standard_normal((tokens, HEADS, width)).astype(numpy.float32)
    gates = -numpy.log1p(numpy.exp(-draw(key).astype(numpy.float64))) / 16
    return {
        "queries": draw(key),
        "keys": draw(key),
        "values": draw(value),
        "log_gates": gates.astype(numpy.float32),
        "gradient": draw(value),
    }


def ours(program, arrays, key, value):
    """What the program writes and prints."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, array in arrays.items():
            array.tofile(folder / f"{name}.f32")
        tokens = arrays["queries"].shape[0]
        command = [program, folder, *map(str, (tokens, HEADS, key, value))]
        environment = dict(os.environ, RAYON_NUM_THREADS=str(THREADS))
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        written = {
            name: numpy.fromfile(folder / f"{name}.f32", numpy.float32)
            for name in ("output", "final_state", "d_queries", "d_keys", "d_values", "d_log_gates")
            if (folder / f"{name}.f32").exists()
        }
        return json.loads(printed.stdout), written


def recurrence(arrays):
    """The definition, token by token, and its gradients by automatic differentiation."""
    tensors = {name: torch.tensor(array, dtype=torch.float64) for name, array in arrays.items()}
    q, k, v, g = (tensors[name].requires_grad_() for name in ("queries", "keys", "values", "log_gates"))
    state = torch.zeros(HEADS, q.shape[2], v.shape[2], dtype=torch.float64)
    outputs = []
    for t in range(q.shape[0]):
        state = state * g[t].exp().unsqueeze(2) + k[t].unsqueeze(2) * v[t].unsqueeze(1)
        outputs.append((state * q[t].unsqueeze(2)).sum(1) * q.shape[2] ** -0.5)
    output = torch.stack(outputs)
    (output * tensors["gradient"]).sum().backward()
    return {
        "output": output.detach(),
        "final_state": state.detach(),
        "d_queries": q.grad,
        "d_keys": k.grad,
        "d_values": v.grad,
        "d_log_gates": g.grad,
    }


def measure(run, least=5):
    """The best time, and the mean processor time of all threads together, in seconds."""
    run()
    best, runs = float("inf"), 0
    start, processor = time.perf_counter(), time.process_time()
    while runs < least or (runs < 1000 and time.perf_counter() - start < 3):
        before = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - before)
        runs += 1
    return best, (time.process_time() - processor) / runs


def softmax_attention(arrays):
    """Seconds that PyTorch's causal attention of the same head sizes takes."""
    q, k, v = (
        torch.tensor(arrays[name]).permute(1, 0, 2).unsqueeze(0).contiguous()
        for name in ("queries", "keys", "values")
    )
    attend = torch.nn.functional.scaled_dot_product_attention
    with torch.no_grad():
        return measure(lambda: attend(q, k, v, is_causal=True), least=2)


def main():
    program = sys.argv[1]
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} threads, load {os.getloadavg()[0]:.1f}")
    for tokens, key, value in ((63, 64, 64), (300, 60, 100), (512, 128, 256)):
        arrays = operands(tokens, key, value, tokens)
        _, written = ours(program, arrays, key, value)
        for name, expected in recurrence(arrays).items():
            found = torch.tensor(written[name], dtype=torch.float64).reshape(expected.shape)
            error = (found - expected).square().mean().sqrt() / expected.square().mean().sqrt()
            print(f"T {tokens:5} K {key:3} V {value:3} {name:12} RMSE / RMS {error:.1e}")
            assert error < 2e-6, name
    print("best time / mean processor time, ms")
    print("tokens      chunked            recurrent          softmax in torch   backward           step")
    for tokens in (2048, 4096, 8192, 16384):
        arrays = operands(tokens, KEY, VALUE, tokens)
        times, _ = ours(program, arrays, KEY, VALUE)
        # Its time grows with the square of the length.
        times["softmax"] = softmax_attention(arrays) if tokens <= 8192 else (float("nan"),) * 2
        names = ("chunked", "recurrent", "softmax", "backward", "step")
        print(f"{tokens:6} " + " ".join(f"{1e3 * times[n][0]:8.2f} / {1e3 * times[n][1]:7.2f}" for n in names))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
