"""Run the tasks of `crates/symbolic/examples/speed.rs` in both systems, compare the results, then the times."""

import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import sympy
from sympy.core.cache import clear_cache

ROOT = pathlib.Path(__file__).resolve().parents[2]
POINTS = 1_000_000
x, y, z = symbols = sympy.symbols("x y z", real=True)
NAMES = {str(symbol): symbol for symbol in symbols}


def median(run):
    """The median time of several runs, each with SymPy's cache empty, as the other side keeps none."""
    seconds = []
    begin = time.perf_counter()
    while len(seconds) < 5 or (time.perf_counter() - begin < 1 and len(seconds) < 200):
        clear_cache()
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def read(text):
    return sympy.parse_expr(text.replace("^", "**"), local_dict=NAMES)


def value(expression):
    return float(expression.subs({x: 0.7, y: -0.4, z: 0.3}))


def solve(operation, text):
    """The median time and the values to compare."""
    if operation == "parse":
        return median(lambda: read(text)), [value(read(text))]
    expression = read(text)
    if operation == "expand":
        expanded = sympy.expand(expression)
        return median(lambda: sympy.expand(expression)), [value(expanded), len(expanded.args)]
    if operation == "differentiate":
        return median(lambda: sympy.diff(expression, x)), [value(sympy.diff(expression, x))]
    function = sympy.lambdify((x, y), expression, "numpy", cse=True)
    index = numpy.arange(POINTS)
    xs = index / POINTS * 4 - 2
    ys = (index * 7919 % POINTS) / POINTS * 4 - 2
    return median(lambda: function(xs, ys)), list(function(xs, ys)[:: POINTS // 50])


def main():
    command = ["cargo", "run", "--quiet", "--release", "-p", "mathesis-symbolic", "--example", "speed"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    rows, different, known = [], False, {}
    for line in map(json.loads, lines):
        key = line["operation"], line["text"]
        if key not in known:
            known[key] = solve(*key)
        seconds, values = known[key]
        agree = len(values) == len(line["values"]) and numpy.allclose(values, line["values"], rtol=1e-11, atol=1e-12)
        different |= not agree
        rows.append((line["task"], line["seconds"], seconds, agree))
    print("| task | Mathesis, ms | SymPy, ms | SymPy / Mathesis | values agree |")
    print("|---|---:|---:|---:|---|")
    for task, own, theirs, agree in rows:
        print(f"| {task} | {own * 1e3:.3g} | {theirs * 1e3:.3g} | {theirs / own:.3g} | {'yes' if agree else 'NO'} |")
    return int(different)


if __name__ == "__main__":
    sys.exit(main())
