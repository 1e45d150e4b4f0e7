"""This project's side of the comparisons, and what they have in common: shapes, constants, first weights, timing, the table."""

import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

LAYERS, WIDTH, HEADS, HIDDEN, VOCABULARY, TIME, BATCH = 4, 256, 4, 688, 4096, 128, 8
EPSILON, THETA = 1e-5, 10_000.0
RATE, BETA_1, BETA_2, ADAM_EPSILON, DECAY, CLIP = 1e-3, 0.9, 0.95, 1e-8, 0.1, 1.0
HEAD_WIDTH = WIDTH // HEADS
MATRICES = ["query", "key", "value", "output"]


def drawn(random):
    """Parameters."""
    normal = lambda *shape: (0.02 * random.standard_normal(shape)).astype(np.float32)
    ones = lambda: np.ones(WIDTH, np.float32)
    blocks = []
    embedding = normal(VOCABULARY, WIDTH)
    for _ in range(LAYERS):
        block = {"mixer_norm": ones()}
        block |= {name: normal(WIDTH, WIDTH) for name in MATRICES}
        block |= {"channel_norm": ones(), "gate": normal(HIDDEN, WIDTH), "up": normal(HIDDEN, WIDTH)}
        blocks.append(block | {"down": normal(WIDTH, HIDDEN)})
    return {"embedding": embedding, "blocks": blocks, "norm": ones(), "head": normal(VOCABULARY, WIDTH)}


def in_order(parameters):
    """Those parameters in the order in which the example reads them."""
    yield parameters["embedding"]
    for block in parameters["blocks"]:
        for name in ["mixer_norm", *MATRICES, "channel_norm", "gate", "up", "down"]:
            yield block[name]
    yield parameters["norm"]
    yield parameters["head"]


def given():
    """The first parameters, and tokens and targets."""
    random = np.random.default_rng(1)
    initial = drawn(random)
    return initial, *(random.integers(0, VOCABULARY, (BATCH, TIME), dtype=np.int32) for _ in range(2))


class Ours:
    """The example `training_step`, with the same parameters and tokens."""

    def __init__(self, example, threads, initial, tokens, targets):
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen([example], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        for leaf in in_order(initial):
            self.process.stdin.write(leaf.tobytes())
        self.process.stdin.write(tokens.tobytes() + targets.tobytes())

    def ask(self, what, number):
        """What it answers: losses or milliseconds."""
        self.process.stdin.write(f"{what} {number}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the example has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def milliseconds(work, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def compare(ours, peers, losses, rounds, steps):
    """Check the losses of the first steps, then time by turns; `peers` has for each name its step and its forward pass."""
    given = ours.ask("losses", len(losses))
    difference = max(abs(a - b) / abs(a) for a, b in zip(losses, given))
    print(f"losses of {len(losses)} steps: {losses[0]:.5f} to {losses[-1]:.5f}, relative difference at most {difference:.1e}")
    if difference > 1e-4:
        sys.exit(f"the losses differ: {losses} and {given}")
    times = {name: {"step": [], "forward": []} for name in [*peers, "this project"]}
    for works in peers.values():
        for work in works:
            milliseconds(work, 3)
    for _ in range(rounds):
        for name, works in peers.items():
            for kind, work in zip(["step", "forward"], works):
                times[name][kind] += milliseconds(work, steps)
        for kind in ["step", "forward"]:
            times["this project"][kind] += ours.ask(kind, steps)
    print(f"milliseconds, best (median) of {rounds} x {steps}, by turns:")
    print(f"{'':18} {'training step':>18} {'forward and loss':>18}")
    best = {}
    for name, kinds in times.items():
        cells = [f"{min(t):.1f} ({statistics.median(t):.1f})" for t in kinds.values()]
        print(f"{name:18} {cells[0]:>18} {cells[1]:>18}")
        best[name] = [(min(t), statistics.median(t)) for t in kinds.values()]
    for name in peers:
        ratio = [[a / b for a, b in zip(*pair)] for pair in zip(best["this project"], best[name])]
        cells = [f"{a:.2f} ({b:.2f})" for a, b in ratio]
        print(f"{'ratio to ' + name:18} {cells[0]:>18} {cells[1]:>18}")
    ours.close()
