"""Vanishing ideals of the graphs of experiments/one-connection: our search beside elimination in Macaulay2, and in SymPy for small ones.

Both systems run one after the other on each graph. Times are of the computation itself: wall-clock seconds for ours, which uses all cores,
processor seconds for the others, which use one; so a busy machine speaks against ours only. Macaulay2 finds the whole ideal, ours all generators up to the stated degree: the numbers of minimal generators up to that degree are compared.
"""

import argparse
import collections
import json
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def edges(text):
    directed, bidirected = [], []
    for edge in filter(None, map(str.strip, text.split(","))):
        a, arrow, b = edge.split()
        (bidirected if arrow == "<->" else directed).append((int(a), int(b)))
    return directed, bidirected


def limited(command, limit):
    """Run a command with a limit on processor time, which does not depend on what else the machine does."""
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5)),
    )
    return None if run.returncode in (-signal.SIGXCPU, -signal.SIGKILL) else run


def macaulay2_script(size, directed, bidirected):
    """Eliminate Lambda from: ((I-Lambda)^T Sigma (I-Lambda))_ij = 0 for all i < j without a bidirected edge, det(I-Lambda) != 0."""
    names = ["t"] + [f"l_({a},{b})" for a, b in directed]
    sigma = [f"s_({i},{j})" for i in range(1, size + 1) for j in range(i, size + 1)]
    joined = {tuple(sorted(edge)) for edge in bidirected}
    zero = [(i, j) for i in range(1, size + 1) for j in range(i + 1, size + 1) if (i, j) not in joined]

    def matrix(entry):
        rows = ["{" + ", ".join(entry(i, j) for j in range(1, size + 1)) + "}" for i in range(1, size + 1)]
        return "matrix{" + ", ".join(rows) + "}"

    return f"""
R = QQ[{", ".join(names + sigma)}, MonomialOrder => Eliminate {len(names)}];
K = id_(R^{size}) - {matrix(lambda i, j: f"l_({i},{j})" if (i, j) in directed else "0_R")};
S = {matrix(lambda i, j: f"s_({min(i, j)},{max(i, j)})")};
W = transpose(K) * S * K;
E = ideal({", ".join([f"W_({i - 1},{j - 1})" for i, j in zero] + ["t * det K - 1"])});
T = timing (J = eliminate({{{", ".join(names)}}}, E));
print("seconds " | toString first T);
print("degrees " | toString flatten degrees source mingens J);
"""


def macaulay2(size, directed, bidirected, limit):
    script = macaulay2_script(size, directed, bidirected)
    with tempfile.NamedTemporaryFile("w", suffix=".m2") as file:
        file.write(script)
        file.flush()
        run = limited(["M2", "--script", file.name], limit)
    if run is None:
        return None, None
    seconds = re.search(r"seconds ([0-9.e+-]+)", run.stdout)
    degrees = re.search(r"degrees \{(.*)\}", run.stdout)
    if not degrees:
        sys.exit(f"Macaulay2 failed:\n{script}\n{run.stdout}\n{run.stderr}")
    counts = collections.Counter(int(d) for d in re.findall(r"\d+", degrees[1]))
    return float(seconds[1]), counts


def sympy_seconds(size, directed, bidirected, limit):
    """The same elimination by SymPy's Groebner basis, in a process of its own."""
    program = f"""
import sympy, time
size, directed, joined = {size}, {directed}, {sorted(tuple(sorted(e)) for e in bidirected)}
l = {{e: sympy.Symbol(f"l{{e[0]}}_{{e[1]}}") for e in directed}}
s = {{(i, j): sympy.Symbol(f"s{{i}}_{{j}}") for i in range(1, size + 1) for j in range(i, size + 1)}}
t = sympy.Symbol("t")
K = sympy.eye(size) - sympy.Matrix(size, size, lambda i, j: l.get((i + 1, j + 1), 0))
S = sympy.Matrix(size, size, lambda i, j: s[min(i, j) + 1, max(i, j) + 1])
W = (K.T * S * K).expand()
equations = [W[i, j] for i in range(size) for j in range(i + 1, size) if (i + 1, j + 1) not in joined]
equations.append(sympy.expand(t * K.det() - 1))
start = time.process_time()
sympy.groebner(equations, t, *l.values(), *s.values(), order="lex")
print(time.process_time() - start)
"""
    run = limited([sys.executable, "-c", program], limit)
    return None if run is None else float(run.stdout)


def ours(program, entry, repeats):
    degree = len(entry["generators"])
    text = (
        f'[structural-model]\nvertices = {entry["vertices"]}\ngraph = "{entry["edges"]}"\n'
        f'[method]\nname = "vanishing-ideal"\ndegree = {degree}\nblock-limit = 5000\n'
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.toml"
        file.write_text(text)
        for _ in range(repeats):
            command = [program, "solve", str(file), "--json", "--quiet", "--output", f"{folder}/run"]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(run.stdout)["result"]
            seconds.append(result["seconds"])
    counts = collections.Counter({d["degree"]: d["new-generators"] for d in result["degrees"]})
    return sorted(seconds)[len(seconds) // 2], counts, degree


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=str(ROOT / "target/release/mathesis"))
    parser.add_argument("--limit", type=float, default=240, help="processor seconds for each elimination")
    parser.add_argument("--sympy-limit", type=float, default=60)
    parser.add_argument("--graphs", default="", help="only these, separated by commas")
    arguments = parser.parse_args()
    experiment = tomllib.loads((ROOT / "experiments/one-connection/experiment.toml").read_text())
    wanted = set(filter(None, arguments.graphs.split(",")))
    differ = False
    print("| graph | to degree | generators | Mathesis, s | Macaulay2, s | Macaulay2 / Mathesis | SymPy, s | same counts |")
    print("|---|---:|---|---:|---:|---:|---:|---|")
    for entry in experiment["graph"]:
        if wanted and entry["id"] not in wanted:
            continue
        directed, bidirected = edges(entry["edges"])
        size = entry["vertices"]
        seconds, counts, degree = ours(arguments.program, entry, 3)
        text = ", ".join(f"{n} of degree {d}" for d, n in sorted(counts.items()) if n) or "none"
        other, found = macaulay2(size, directed, bidirected, arguments.limit)
        if found is None:
            same, theirs, ratio = "not done", f"> {arguments.limit:g}", f"> {arguments.limit / seconds:.3g}"
        else:
            equal = all(found[d] == counts[d] for d in range(1, degree + 1))
            beyond = sum(n for d, n in found.items() if d > degree)
            same = ("yes" if equal else "NO") + (f", and {beyond} of higher degree" if beyond else "")
            differ |= not equal
            theirs, ratio = f"{other:.3g}", f"{other / seconds:.3g}"
        third = "–"
        if size <= 4 and arguments.sympy_limit > 0:
            value = sympy_seconds(size, directed, bidirected, arguments.sympy_limit)
            third = f"> {arguments.sympy_limit:g}" if value is None else f"{value:.3g}"
        print(f"| {entry['id']} | {degree} | {text} | {seconds:.3g} | {theirs} | {ratio} | {third} | {same} |", flush=True)
    sys.exit(differ)


if __name__ == "__main__":
    main()
