"""Models of every mixer of this workspace beside PyTorch: their logits by the equations, written out token by token.

Usage: python mixers.py FOLDER

FOLDER is what the example `mixers` of mathesis-language has written. The weights are read from its safetensors files; nothing of the
project's own programs runs here. Every model is computed twice, in double and in single precision; gradients in double precision by
automatic differentiation, which passes roundings as if they were not there.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file


# The step that the example takes down the gradient.
RATE = 100.0


class Weights:
    """Tensors by name."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return self.prefix + name in self.tensors

    def under(self, prefix):
        return Weights(self.tensors, self.prefix + prefix)


def rms_norm(x, weight, epsilon):
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * weight


def layer_norm(x, weights, epsilon):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + epsilon).sqrt() * weights["weight"] + weights["bias"]


def ternary(x, weights, epsilon=1e-6):
    """BitLinear: its norm, activations in 8 bits for each token, weights of -1, 0 and 1 with one scale."""
    u = rms_norm(x, weights["gain"], epsilon)
    scale = 127 / u.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    activations = (u * scale).round().clamp(-128, 127) / scale
    weight = weights["weight"]
    beta = weight.abs().mean().clamp(min=1e-5)
    quantised = (weight / beta).round().clamp(-1, 1) * beta
    straight_through = lambda exact, rounded: exact + (rounded - exact).detach()
    return straight_through(u, activations) @ straight_through(weight, quantised).T


def linear(x, weights):
    if "gain" in weights:
        return ternary(x, weights)
    weight = weights["weight"]
    if weight.ndim == 3:
        weight = torch.block_diag(*weight)
    y = x @ weight.T
    return y + weights["bias"] if "bias" in weights else y


def silu(x):
    return x * torch.sigmoid(x)


def recurrent_unit(x, weights, settings, bound):
    f = torch.sigmoid(linear(x, weights.under("mixer.forget.")))
    gate = linear(x, weights.under("mixer.gate."))
    if bound is not None:
        f = bound + (1 - bound) * f
    candidate = silu(linear(x, weights.under("mixer.input.")))
    h, states = torch.zeros_like(x[0]), []
    for t in range(len(x)):
        h = f[t] * h + (1 - f[t]) * candidate[t]
        states.append(h)
    h = torch.stack(states)
    if settings["variant"] == "released":
        gated = rms_norm(gate, weights["mixer.norm.norm.weight"], settings["norm-epsilon"]) * silu(h)
    else:
        gated = torch.sigmoid(gate) * h
    return linear(gated, weights.under("self_attn.o_proj."))


def gated_linear_attention(x, weights, settings):
    heads = settings["heads"]
    apart = lambda y: y.reshape(len(x), heads, -1)
    q, k, v = (apart(linear(x, weights.under(f"self_attn.{n}_proj."))) for n in "qkv")
    g = linear(linear(x, weights.under("mixer.gate.0.")), weights.under("mixer.gate.1."))
    g = apart(torch.nn.functional.logsigmoid(g) / settings["gate"]["channel"]["normaliser"])
    state = torch.zeros(heads, q.shape[2], v.shape[2], dtype=x.dtype)
    outputs = []
    for t in range(len(x)):
        state = state * g[t].exp().unsqueeze(2) + k[t].unsqueeze(2) * v[t].unsqueeze(1)
        outputs.append((state * q[t].unsqueeze(2)).sum(1) * q.shape[2] ** -0.5)
    o = rms_norm(torch.stack(outputs), weights["mixer.norm.norm.weight"], settings["norm-epsilon"])
    o = o.reshape(len(x), -1) * silu(linear(x, weights.under("mixer.output_gate.")))
    return linear(o, weights.under("self_attn.o_proj."))


def implicit_filter(weights, network, lags):
    z = weights["filter.positions"]
    longest, width = z.shape[0], weights["direct"].shape[0]
    h = z[:lags]
    for layer in range(3):
        h = torch.sin(weights["filter.frequency"] * linear(h, weights.under(f"filter.{network}.hidden.{layer}.")))
    h = linear(h, weights.under(f"filter.{network}.output."))
    rates = torch.linspace(math.log(0.01) / 1.5, math.log(0.01) / 0.3, width, dtype=torch.float64).abs()
    times = torch.arange(lags, dtype=torch.float64) / (longest - 1)
    return h * torch.exp(-times[:, None] * rates).to(h.dtype)


def long_convolution(w, weights):
    """Every pair of tokens."""
    lags = len(w)
    past = implicit_filter(weights, "past", lags)
    both_sides = "filter.future.output.weight" in weights
    future = implicit_filter(weights, "future", lags) if both_sides else None
    rows = []
    for t in range(lags):
        y = weights["direct"] * w[t] + (past[: t + 1].flip(0) * w[: t + 1]).sum(0)
        if both_sides and t + 1 < lags:
            y = y + (future[: lags - t - 1] * w[t + 1 :]).sum(0)
        rows.append(y)
    return torch.stack(rows)


def monarch(x, weights):
    projected = linear(x, weights.under("mixer.input."))
    taps = weights["mixer.taps"]
    short = weights["mixer.tap_bias"] + taps[0] * projected
    for lag in range(1, 3):
        short = short + taps[lag] * torch.nn.functional.pad(projected[:-lag], (0, 0, lag, 0))
    x1, x2, v = short.chunk(3, -1)
    y = long_convolution(v * x1, weights.under("mixer.gated.")) * x2
    y = y + long_convolution(x, weights.under("mixer.residual."))
    return linear(y, weights.under("self_attn.o_proj."))


def channel(x, weights, settings):
    hidden = settings["hidden"]
    if settings["kind"] == "geglu":
        both = linear(x, weights.under("channel.inward."))
        return linear(torch.nn.functional.gelu(both[:, :hidden]) * both[:, hidden:], weights.under("channel.outward."))
    if settings.get("joined"):
        both = linear(x, weights.under("mlp.gate_proj."))
        gate, up = both[:, :hidden], both[:, hidden:]
    else:
        gate, up = (linear(x, weights.under(f"mlp.{n}_proj.")) for n in ("gate", "up"))
    return linear(silu(gate) * up, weights.under("mlp.down_proj."))


def logits(config, weights, tokens):
    epsilon = config["norm-epsilon"]
    bert = config.get("frame") == "monarch-bert"
    h = weights["model.embed_tokens.weight"][tokens]
    if bert:
        h = layer_norm(h + weights["positions.weight"][: len(tokens)], weights.under("positions.norm."), epsilon)
    bounds = None
    if "model.lower_bounds" in weights:
        shares = weights["model.lower_bounds"].softmax(0)
        bounds = shares.cumsum(0) - shares[0]
    layers = [block for block in config["blocks"] for _ in range(block["repeat"])]
    for number, block in enumerate(layers):
        here = weights.under(f"model.layers.{number}.")
        x = h if bert else rms_norm(h, here["input_layernorm.weight"], epsilon)
        kind = block["mixer"]["kind"]
        if kind == "linear-gated-recurrent-unit":
            bound = bounds[number] if bounds is not None else None
            mixed = recurrent_unit(x, here, block["mixer"], bound)
        elif kind == "gated-linear-attention":
            mixed = gated_linear_attention(x, here, block["mixer"])
        else:
            mixed = monarch(x, here)
        h = mixed if bert else h + mixed
        x = h if bert else rms_norm(h, here["post_attention_layernorm.weight"], epsilon)
        h = h + channel(x, here, block["channel"])
        if bert:
            h = layer_norm(h, here.under("output_norm."), epsilon)
    if not bert:
        return linear(rms_norm(h, weights["model.norm.weight"], epsilon), weights.under("lm_head."))
    h = torch.nn.functional.gelu(linear(h, weights.under("transform.dense.")))
    h = layer_norm(h, weights.under("transform.norm."), epsilon)
    return h @ weights["model.embed_tokens.weight"].T + weights["transform.bias"]


def main():
    folder = Path(sys.argv[1])
    print(f"torch {torch.__version__}; greatest differences of a logit; RMS error of a tensor's gradient over its RMS, and where")
    print(f"{'model':24} {'greatest':>9} {'double':>9} {'single':>9} {'torch itself':>12} {'one by one':>10} {'gradient':>9}")
    for case in sorted(path.parent for path in folder.glob("*/tokens.json")):
        config = json.loads((case / "config.json").read_text())["mathesis"]
        tokens = json.loads((case / "tokens.json").read_text())
        tensors = load_file(case / "model.safetensors")
        shape = (len(tokens), config["vocabulary"])
        ours = torch.tensor(numpy.fromfile(case / "logits.f32", numpy.float32).reshape(shape)).double()
        in_double = {name: tensor.double() for name, tensor in tensors.items()}
        with torch.no_grad():
            double = logits(config, Weights(in_double), tokens)
            single = logits(config, Weights(tensors), tokens).double()
        difference = lambda a, b: (a - b).abs().max().item()
        decoded = float("nan")
        if (case / "decoded.f32").exists():
            steps = numpy.fromfile(case / "decoded.f32", numpy.float32).reshape(shape)
            decoded = difference(torch.tensor(steps).double(), ours)
        for tensor in in_double.values():
            tensor.requires_grad_()
        last = logits(config, Weights(in_double), tokens[:-1])
        torch.nn.functional.cross_entropy(last, torch.tensor(tokens[1:])).backward()
        moved = load_file(case / "moved" / "model.safetensors")
        worst, where = 0.0, ""
        for name, tensor in in_double.items():
            gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            found = (tensors[name].double() - moved[name].double()) / RATE
            error = ((found - gradient).norm() / gradient.norm()).item() if gradient.norm() > 0 else found.norm().item()
            if not error <= worst:
                worst, where = error, name
        print(
            f"{case.name:24} {double.abs().max():9.2f} {difference(ours, double):9.1e} {difference(ours, single):9.1e}"
            f" {difference(single, double):12.1e} {decoded:10.1e} {worst:9.1e} {where}"
        )


if __name__ == "__main__":
    main()
