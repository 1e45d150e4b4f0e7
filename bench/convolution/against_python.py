"""Times the layer of crates/networks/examples/convolution_speed.rs in PyTorch and JAX, whichever is installed.

Usage: python against_python.py [cells] [threads]
"""

import sys
import time

import numpy as np

CELLS = int(sys.argv[1]) if len(sys.argv) > 1 else 64
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
CHANNELS = 16
OPERATIONS = 2 * 27 * CHANNELS**2 * CELLS**3


def best(run, repeats=10):
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def report(what, seconds):
    print(f"{what:<44} {1e3 * seconds:9.2f} ms {OPERATIONS / seconds / 1e9:7.1f} GFLOP/s")


rng = np.random.default_rng(1)
x = rng.standard_normal((1, CELLS, CELLS, CELLS, CHANNELS), dtype=np.float32)
w = rng.standard_normal((3, 3, 3, CHANNELS, CHANNELS), dtype=np.float32)
b = rng.standard_normal(CHANNELS, dtype=np.float32)

try:
    import torch

    torch.set_num_threads(THREADS)
    layer = torch.nn.Conv3d(CHANNELS, CHANNELS, 3, padding=1)
    with torch.no_grad():
        for name, memory in [("", torch.contiguous_format), (", channels last", torch.channels_last_3d)]:
            layer = layer.to(memory_format=memory)
            t = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 4, 1, 2, 3))).to(memory_format=memory)
            report(f"PyTorch {torch.__version__}{name}", best(lambda: torch.relu_(layer(t))))
except ImportError:
    print("PyTorch is not installed")

try:
    import jax

    @jax.jit
    def layer(x, w, b):
        dimensions = ("NDHWC", "DHWIO", "NDHWC")
        y = jax.lax.conv_general_dilated(x, w, (1, 1, 1), "SAME", dimension_numbers=dimensions)
        return jax.nn.relu(y + b)

    arguments = [jax.device_put(a) for a in (x, w, b)]
    report(f"JAX {jax.__version__}, channels last", best(lambda: layer(*arguments).block_until_ready()))
except ImportError:
    print("JAX is not installed")
