"""The training step of a small dense language model: this project's, and JAX's compiled one, by turns in one run.

    python against_jax.py EXAMPLE [--steps 30] [--rounds 3]

EXAMPLE is the built example `training_step`. Both sides have the same shapes, the same mathematics and two threads; first the losses
of some steps from equal weights are compared, then the times.
"""

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("example")
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()

# Before JAX is loaded: XLA takes its number of threads from the processors that the process may use.
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: arguments.threads]))

import jax
import jax.numpy as jnp
import numpy as np

from ours import (
    ADAM_EPSILON, BATCH, BETA_1, BETA_2, CLIP, DECAY, EPSILON, HEAD_WIDTH, HEADS, RATE, THETA, TIME, WIDTH, Ours, compare, given,
)


def norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON) * weight


def rotated(x, cosines, sines):
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def attention(block, x):
    batch, time, _ = x.shape
    heads = lambda w: (x @ w.T).reshape(batch, time, HEADS, HEAD_WIDTH).transpose(0, 2, 1, 3)
    frequencies = THETA ** (-2.0 * jnp.arange(HEAD_WIDTH // 2) / HEAD_WIDTH)
    angles = jnp.arange(time)[:, None] * frequencies[None, :]
    cosines, sines = jnp.cos(angles), jnp.sin(angles)
    q, k, v = rotated(heads(block["query"]), cosines, sines), rotated(heads(block["key"]), cosines, sines), heads(block["value"])
    scores = (q @ k.transpose(0, 1, 3, 2)) / np.sqrt(HEAD_WIDTH).astype(np.float32)
    scores = jnp.where(jnp.tril(jnp.ones((time, time), bool)), scores, -jnp.inf)
    seen = jax.nn.softmax(scores, axis=-1) @ v
    return seen.transpose(0, 2, 1, 3).reshape(batch, time, WIDTH) @ block["output"].T


def loss(parameters, tokens, targets):
    hidden = parameters["embedding"][tokens]
    for block in parameters["blocks"]:
        hidden = hidden + attention(block, norm(hidden, block["mixer_norm"]))
        x = norm(hidden, block["channel_norm"])
        hidden = hidden + (jax.nn.silu(x @ block["gate"].T) * (x @ block["up"].T)) @ block["down"].T
    logits = norm(hidden, parameters["norm"]) @ parameters["head"].T
    logarithms = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.mean(jnp.take_along_axis(logarithms, targets[..., None], axis=-1))


def step(parameters, first, second, number, tokens, targets):
    value, gradients = jax.value_and_grad(loss)(parameters, tokens, targets)
    length = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
    factor = jnp.where(length > CLIP, CLIP / length, 1.0)
    gradients = jax.tree.map(lambda g: g * factor, gradients)
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradients)

    def moved(p, m, v):
        keep = 1 - RATE * DECAY if p.ndim > 1 else 1.0
        m, v = m / (1 - BETA_1**number), v / (1 - BETA_2**number)
        return keep * p - RATE * m / (jnp.sqrt(v) + ADAM_EPSILON)

    return jax.tree.map(moved, parameters, first, second), first, second, value


initial, tokens, targets = given()
count = sum(leaf.size for leaf in jax.tree.leaves(initial))
print(f"{count / 1e6:.2f} million parameters, {BATCH} rows of {TIME} tokens, {arguments.threads} threads, JAX {jax.__version__}")
ours = Ours(arguments.example, arguments.threads, initial, tokens, targets)
forward = jax.jit(loss)
compiled = jax.jit(step, donate_argnums=(0, 1, 2))
zeros = lambda: jax.tree.map(jnp.zeros_like, initial)
state = [jax.tree.map(jnp.array, initial), zeros(), zeros()]
tokens, targets = jnp.array(tokens), jnp.array(targets)
losses = []
for number in range(1, 6):
    *state, value = compiled(*state, jnp.float32(number), tokens, targets)
    losses.append(float(value))


def step_of_jax():
    *state[:], value = compiled(*state, jnp.float32(6), tokens, targets)
    jax.block_until_ready((state, value))


def forward_of_jax():
    forward(state[0], tokens, targets).block_until_ready()


compare(ours, {"JAX": [step_of_jax, forward_of_jax]}, losses, arguments.rounds, arguments.steps)
