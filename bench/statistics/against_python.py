"""Statistics of scores beside lm-eval, inspect-ai, scipy, statsmodels and krippendorff: 10,000 random inputs for each function.

Functions of lm-eval and inspect-ai are taken out of their installed source files, so that none of their dependencies
(torch, datasets, ...) is needed.
"""

import ast
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import krippendorff
import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

N = 10_000
random = np.random.default_rng(1)


def functions(package, file, names, scope):
    """The functions of these names out of a file of an installed package, nested ones too."""
    root = Path(importlib.util.find_spec(package).origin).parent
    tree = ast.parse((root / file).read_text())
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            node.decorator_list, node.returns = [], None
            for argument in ast.walk(node):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            code = compile(ast.Module([node], []), file, "exec")
            exec(code, scope)
            found[node.name] = scope[node.name]
    return found


scope = {"np": np, "math": math, "cast": lambda _, value: value}
lm_eval = functions("lm_eval", "api/metrics.py", {"pooled_sample_stderr", "mean_stderr", "sample_stddev", "mean"}, scope)
inspect_std = functions("inspect_ai", "scorer/_metrics/std.py", {"_clustered_stderr"}, dict(scope))


def inspect_at(name, k):
    scope_k = dict(scope, k=k, value=1.0, nan=math.nan)
    return functions("inspect_ai", "scorer/_reducer/reducer.py", {name}, scope_k)[name]


def clusters():
    for _ in range(N):
        sizes = random.integers(1, 9, random.integers(2, 30))
        values = [[float(v) for v in random.integers(0, 2, size)] for size in sizes]
        if len({v for c in values for v in c}) == 1:
            values[0][0] = 1.0 - values[0][0]
        flat = [v for c in values for v in c]
        se = inspect_std["_clustered_stderr"](values)
        t = stats.t.ppf(0.975, len(values) - 1)
        mean = np.mean(flat)
        yield {"ask": "clusters", "values": values}, [lm_eval["mean_stderr"](flat) if len(flat) > 1 else 0.0, se, mean - t * se, mean + t * se]


def pooled():
    for _ in range(N):
        size = random.integers(1, 12)
        groups = [(float(random.random() * 0.1), int(random.integers(2, 500))) for _ in range(size)]
        yield {"ask": "pooled", "groups": groups}, [lm_eval["pooled_sample_stderr"]([g[0] for g in groups], [g[1] for g in groups])]


def wilson():
    for _ in range(N):
        trials = int(random.integers(1, 20_000))
        successes = int(random.integers(0, trials + 1))
        ci = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
        yield {"ask": "wilson", "successes": successes, "trials": trials}, [ci.low, ci.high]


def samples():
    at = {}
    for _ in range(N):
        n = int(random.integers(1, 129))
        c = int(random.integers(0, n + 1))
        k = int(random.integers(1, n + 1))
        t = float(random.choice([0.0, 0.25, 0.5, 0.75, 1.0]))
        if k not in at:
            at[k] = (inspect_at("pass_at_k", k), inspect_at("pass_k_k", k))
        values = [1.0] * c + [0.0] * (n - c)
        tail = lambda m: stats.hypergeom.sf(m - 1, n, c, k)
        mean_g = 2 / k * sum(tail(i) for i in range(math.ceil(k / 2) + 1, k + 1))
        yield {"ask": "samples", "n": n, "c": c, "k": k, "t": t}, [at[k][0](values), at[k][1](values), tail(max(math.ceil(k * t), 1)), mean_g]


def paired():
    for _ in range(N):
        n = int(random.integers(3, 60))
        a, b = random.random(n), random.random(n)
        result = stats.ttest_rel(a, b)
        ci = result.confidence_interval(0.95)
        se = stats.sem(a - b)
        yield {"ask": "paired", "pairs": list(zip(a, b))}, [np.mean(a - b), se, ci.low, ci.high, result.pvalue]


def mc_nemar():
    for _ in range(N):
        b, c = int(random.integers(0, 400)), int(random.integers(0, 400))
        exact = mcnemar([[0, b], [c, 0]], exact=True).pvalue if b + c else 1.0
        # The mid-p value by its definition: half of the outcomes that are just as extreme count.
        n, least = b + c, min(b, c)
        mid = exact - stats.binom.pmf(least, n, 0.5) if b != c else 1 - 0.5 * stats.binom.pmf(least, n, 0.5)
        yield {"ask": "mc_nemar", "first": b, "second": c}, [exact, mid if n else 1.0]


def macro_f1():
    for _ in range(N):
        pairs = [(int(a), int(b)) for a, b in random.integers(0, 4, (random.integers(1, 40), 2))]
        scores = []
        for label in {v for p in pairs for v in p}:
            tp = sum(a == label and b == label for a, b in pairs)
            wrong = sum((a == label) != (b == label) for a, b in pairs)
            scores.append(2 * tp / (2 * tp + wrong))
        yield {"ask": "macro_f1", "pairs": pairs}, [np.mean(scores)]


def raters():
    for _ in range(N):
        shape = random.integers(2, 20), random.integers(2, 6)
        table = random.integers(1, 6, shape).astype(float)
        table[random.random(shape) < 0.2] = np.nan
        table[0, :2] = 1.0, 2.0
        alpha = lambda scale: krippendorff.alpha(reliability_data=table.T, level_of_measurement=scale)
        units = [[None if math.isnan(v) else v for v in row] for row in table.tolist()]
        yield {"ask": "raters", "units": units}, [alpha(scale) for scale in ["nominal", "ordinal", "interval", "ratio"]]


def ranks():
    for _ in range(N):
        pairs = random.integers(0, 8, (random.integers(3, 60), 2)).astype(float)
        pairs[:2] = [[0, 1], [1, 0]]
        yield {"ask": "ranks", "pairs": pairs.tolist()}, [stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic]


def main():
    binary = sys.argv[1]
    worst_of_all = 0.0
    for cases in [clusters, pooled, wilson, samples, paired, mc_nemar, macro_f1, raters, ranks]:
        made = list(cases())
        lines = "".join(json.dumps(question, default=float) + "\n" for question, _ in made)
        output = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True).stdout
        worst, at = 0.0, None
        for (question, expected), line in zip(made, output.splitlines(), strict=True):
            for ours, theirs in zip(json.loads(line), expected, strict=True):
                gap = abs(ours - float(theirs))
                if gap > worst:
                    worst, at = gap, (question, ours, float(theirs))
        print(f"{cases.__name__:10} {len(made)} inputs, largest difference {worst:.1e}")
        if worst > 1e-12:
            print("   ", at)
        worst_of_all = max(worst_of_all, worst)
    sys.exit(worst_of_all > 1e-12)


main()
