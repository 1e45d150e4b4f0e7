"""The training step of a small dense language model: this project's and PyTorch's, by turns in one run.

    python against_torch.py EXAMPLE [--steps 30] [--rounds 3] [--compile]

EXAMPLE is the built example `training_step`. PyTorch uses its fused attention, root mean square norm, cross-entropy and AdamW; with
--compile also `torch.compile`. First the losses of some steps from equal weights are compared, then the times.
"""

import argparse

import torch
import torch.nn.functional as functional

from ours import (
    ADAM_EPSILON, BATCH, BETA_1, BETA_2, CLIP, DECAY, EPSILON, HEAD_WIDTH, HEADS, LAYERS, RATE, THETA, TIME, VOCABULARY, WIDTH, Ours,
    compare, given, in_order,
)

parser = argparse.ArgumentParser()
parser.add_argument("example")
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--compile", action="store_true")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)

FREQUENCIES = THETA ** (-2.0 * torch.arange(HEAD_WIDTH // 2, dtype=torch.float64) / HEAD_WIDTH)
ANGLES = torch.arange(TIME, dtype=torch.float64)[:, None] * FREQUENCIES[None, :]
COSINES, SINES = ANGLES.cos().float(), ANGLES.sin().float()


def rotated(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * COSINES - second * SINES, second * COSINES + first * SINES], dim=-1)


def norm(x, weight):
    return functional.rms_norm(x, (WIDTH,), weight, EPSILON)


def loss(parameters, tokens, targets):
    left = iter(parameters)
    hidden = functional.embedding(tokens, next(left))
    for _ in range(LAYERS):
        mixer_norm, query, key, value, output, channel_norm, gate, up, down = (next(left) for _ in range(9))
        x = norm(hidden, mixer_norm)
        heads = lambda w: (x @ w.T).view(BATCH, TIME, HEADS, HEAD_WIDTH).transpose(1, 2)
        seen = functional.scaled_dot_product_attention(rotated(heads(query)), rotated(heads(key)), heads(value), is_causal=True)
        hidden = hidden + seen.transpose(1, 2).reshape(BATCH, TIME, WIDTH) @ output.T
        x = norm(hidden, channel_norm)
        hidden = hidden + (functional.silu(x @ gate.T) * (x @ up.T)) @ down.T
    final, head = next(left), next(left)
    return functional.cross_entropy((norm(hidden, final) @ head.T).view(-1, VOCABULARY), targets.view(-1))


class Side:
    """A model with its optimiser."""

    def __init__(self, initial, loss):
        self.parameters = [torch.tensor(leaf).requires_grad_() for leaf in in_order(initial)]
        self.loss = loss
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(BETA_1, BETA_2), eps=ADAM_EPSILON, fused=True)

    def step(self):
        self.optimiser.zero_grad(set_to_none=True)
        value = self.loss(self.parameters, tokens, targets)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP, foreach=True)
        self.optimiser.step()
        return value.item()

    def forward(self):
        with torch.no_grad():
            return self.loss(self.parameters, tokens, targets).item()


initial, tokens, targets = given()
ours = Ours(arguments.example, arguments.threads, initial, tokens, targets)
tokens, targets = torch.tensor(tokens).long(), torch.tensor(targets).long()
sides = {"PyTorch": Side(initial, loss)}
if arguments.compile:
    sides["compiled"] = Side(initial, torch.compile(loss))
count = sum(p.numel() for p in sides["PyTorch"].parameters)
print(f"{count / 1e6:.2f} million parameters, {BATCH} rows of {TIME} tokens, {arguments.threads} threads, PyTorch {torch.__version__}")
of_sides = [[side.step() for _ in range(5)] for side in sides.values()]
losses = of_sides[0]
for others in of_sides[1:]:
    difference = max(abs(a - b) / abs(a) for a, b in zip(losses, others))
    if difference > 1e-4:
        raise SystemExit(f"the compiled losses differ: {losses} and {others}")
peers = {name: [side.step, side.forward] for name, side in sides.items()}
compare(ours, peers, losses, arguments.rounds, arguments.steps)
