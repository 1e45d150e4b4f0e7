"""Extragradient over MPI with mpi4py, uncompressed or with QSGD: rank 0 is the server, the others own one F_m each.

Usage: mpirun -n WORKERS+1 python3 extragradient_mpi4py.py plain|qsgd ITERATIONS
Prints one line of JSON: seconds for an iteration, bytes sent by a worker for an iteration, relative distance at the end.
"""

import json
import sys
import time

import numpy as np
from mpi4py import MPI

DIMENSION, CONDITION, HETEROGENEITY, LEVELS = 100, 100.0, 5.0, 15
world = MPI.COMM_WORLD
rank, workers = world.Get_rank(), world.Get_size() - 1
kind, iterations = sys.argv[1], int(sys.argv[2])

random = np.random.default_rng(1)
rotation = np.linalg.qr(random.standard_normal((DIMENSION, DIMENSION)))[0]
common = rotation @ np.diag(np.logspace(0, np.log10(CONDITION), DIMENSION)) @ rotation.T
noise = random.standard_normal((workers, DIMENSION, DIMENSION)) / np.sqrt(DIMENSION)
matrices = common + HETEROGENEITY * (noise - noise.mean(axis=0))
linear = random.standard_normal((workers, 2 * DIMENSION))
step = 0.5 / np.hypot(1.0, np.linalg.norm(common, 2))
draws = np.random.default_rng(100 + rank)


def own(z):
    x, y = z[:DIMENSION], z[DIMENSION:]
    a, b = linear[rank - 1][:DIMENSION], linear[rank - 1][DIMENSION:]
    matrix = matrices[rank - 1]
    return np.concatenate([matrix @ y + a + x, -matrix.T @ x - b + y])


def encode(v):
    """A 32-bit norm, packed signs, and levels of four bits."""
    norm = np.float32(np.linalg.norm(v) * (1 + 1e-6))
    place = np.abs(v) / norm * LEVELS if norm > 0 else np.zeros_like(v)
    level = (np.floor(place) + (draws.random(v.size) < place % 1)).clip(0, LEVELS).astype(np.uint8)
    return norm.tobytes() + np.packbits(v < 0).tobytes() + (level[0::2] << 4 | level[1::2]).tobytes()


def decode(message):
    norm = np.frombuffer(message[:4], np.float32)[0]
    count = 2 * DIMENSION
    signs = np.unpackbits(np.frombuffer(message[4 : 4 + count // 8], np.uint8))
    packed = np.frombuffer(message[4 + count // 8 :], np.uint8)
    level = np.empty(count)
    level[0::2], level[1::2] = packed >> 4, packed & 15
    return np.where(signs == 1, -1.0, 1.0) * float(norm) * level / LEVELS


sent = 0


def mean(z):
    """F(z) on all ranks: messages to rank 0, a broadcast back, both in 32-bit floats or by QSGD."""
    global sent
    if kind == "qsgd":
        message = encode(own(z)) if rank else None
    else:
        message = own(z).astype(np.float32).tobytes() if rank else None
    sent += len(message) if rank else 0
    parts = world.gather(message)
    if rank == 0:
        read = decode if kind == "qsgd" else (lambda part: np.frombuffer(part, np.float32).astype(float))
        total = sum(read(part) for part in parts[1:]) / workers
        reply = encode(total) if kind == "qsgd" else total.astype(np.float32).tobytes()
    else:
        reply = None
    reply = world.bcast(reply)
    return decode(reply) if kind == "qsgd" else np.frombuffer(reply, np.float32).astype(float)


z = np.zeros(2 * DIMENSION)
world.Barrier()
start = time.perf_counter()
for _ in range(iterations):
    half = z - step * mean(z)
    z = z - step * mean(half)
seconds = time.perf_counter() - start
sent = world.bcast(sent, root=1)
if rank == 0:
    a, b = linear.mean(axis=0)[:DIMENSION], linear.mean(axis=0)[DIMENSION:]
    eye = np.eye(DIMENSION)
    solution = np.linalg.solve(np.block([[eye, common], [-common.T, eye]]), np.concatenate([-a, b]))
    distance = np.linalg.norm(z - solution) / np.linalg.norm(solution)
    print(json.dumps({"seconds": seconds / iterations, "bytes": sent / iterations, "distance": float(distance)}))
