"""Run the tasks of `crates/symbolic/examples/polynomials.rs` in SymPy and in FLINT (python-flint), compare the results, then the times.

All run on one thread; ours is timed by the clock, the others by processor time, so a busy machine speaks against ours only.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

import flint
import sympy

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["x", "y", "z", "u", "v"]
PRIME = 2**31 - 1


def median(run):
    """The median processor time of several runs, of a single one if it is long."""
    seconds = []
    begin = time.process_time()
    while len(seconds) < 3 or (time.process_time() - begin < 1 and len(seconds) < 100):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
        if seconds[-1] > 2:
            break
    return statistics.median(seconds)


def random_terms(terms, variables, degree, seed):
    """As in the Rust example."""

    def draw(bound):
        nonlocal seed
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        return (seed >> 33) % bound

    collected = {}
    for _ in range(terms):
        exponents = tuple(draw(degree + 1) for _ in range(variables))
        collected[exponents] = collected.get(exponents, 0) + draw(199) - 99
    return {exponents: c for exponents, c in collected.items() if c}


class Sympy:
    name = "SymPy"

    def ring(self, variables):
        self.variables = variables
        self.domain = sympy.ring(NAMES[:variables], sympy.ZZ, sympy.grlex)[0]

    def build(self, terms):
        return self.domain.from_dict({e: sympy.ZZ(c) for e, c in terms.items()})

    def gcd(self, a, b):
        return a.gcd(b)

    def divide(self, a, b):
        return a.exquo(b)

    def terms(self, p):
        return {tuple(e): int(c) for e, c in p.terms()}


class Flint:
    name = "FLINT"

    def ring(self, variables):
        self.variables = variables
        self.domain = flint.fmpz_mpoly_ctx.get(tuple(NAMES[:variables]), flint.Ordering.deglex)

    def build(self, terms):
        return self.domain.from_dict(terms)

    def gcd(self, a, b):
        return a.gcd(b)

    def divide(self, a, b):
        return a / b

    def terms(self, p):
        return {tuple(int(x) for x in e): int(c) for e, c in p.to_dict().items()}


def figures(terms):
    """Number of terms and value at a point modulo a prime, signs so that the leading coefficient is positive where that is free."""
    value = 0
    for exponents, coefficient in terms.items():
        for k, exponent in enumerate(exponents):
            coefficient = coefficient * pow(3 + 2 * k, exponent, PRIME) % PRIME
        value = (value + coefficient) % PRIME
    return len(terms), value


def tasks(system):
    system.ring(4)
    one = system.build({(0,) * 4: 1})
    base = system.build({tuple(int(i == k) for i in range(4)): 1 for k in range(5)})
    dense = base**12
    following = dense + one
    yield lambda: dense * following
    system.ring(5)
    a, b = (system.build(random_terms(1000, 5, 30, seed)) for seed in (1, 2))
    product = a * b
    yield lambda: a * b
    # SymPy looks through a million terms for the leading one at every step, which takes too long to wait for.
    yield (lambda: system.divide(product, a)) if system.name == "FLINT" else None
    for terms, variables, degree, seeds in ((20, 3, 5, (3, 4, 5)), (8, 5, 3, (6, 7, 8))):
        system.ring(variables)
        a, b, c = (system.build(random_terms(terms, variables, degree, seed)) for seed in seeds)
        left, right = a * c, b * c
        yield lambda left=left, right=right: system.gcd(left, right)
    system.ring(4)
    left, right = (system.build(random_terms(60, 4, 5, seed)) for seed in (9, 10))
    yield lambda left=left, right=right: system.gcd(left, right)


def main():
    command = ["cargo", "run", "--quiet", "--release", "-p", "mathesis-symbolic", "--example", "polynomials"]
    if len(sys.argv) > 1:  # the built example
        command = sys.argv[1:2]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    ours = [json.loads(line) for line in output.splitlines()]
    print("| task | terms | Mathesis, ms | SymPy, ms | SymPy / Mathesis | FLINT, ms | FLINT / Mathesis | equal |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    differ = False
    for line, *runs in zip(ours, *(list(timed(kind())) for kind in (Sympy, Flint))):
        cells = [line["task"], str(line["terms"]), f"{line['seconds'] * 1e3:.3g}"]
        equal = True
        for run in runs:
            if run is None:
                cells += ["–", "–"]
                continue
            seconds, (terms, value) = run
            cells += [f"{seconds * 1e3:.3g}", f"{seconds / line['seconds']:.3g}"]
            # A divisor is known up to its sign.
            equal &= terms == line["terms"] and line["value"] in (value, (PRIME - value) % PRIME)
        differ |= not equal
        print("| " + " | ".join(cells + ["yes" if equal else "NO"]) + " |")
    sys.exit(differ)


def timed(system):
    for run in tasks(system):
        yield run and (median(run), figures(system.terms(run())))


if __name__ == "__main__":
    main()
