"""1,000 random runs scored here and by pytrec-eval-terrier, value by value; with trec_eval's binary also byte by byte.

python against_trec_eval.py EXAMPLE_BINARY [TREC_EVAL_BINARY]
"""
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytrec_eval
from ranx import Qrels, Run, evaluate as ranx_evaluate

example, trec_eval = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
draw = random.Random(2022)
folder = Path(tempfile.mkdtemp())
measures = sorted(pytrec_eval.supported_measures - {"runid", "relstring"})
compared = worst = bytes_compared = bytes_different = ranx_different = ranx_compared = 0
unequal = {}

for case in range(1000):
    documents = [f"d{n}" for n in range(draw.choice([1, 3, 12, 60]))]
    topics = [str(n) for n in range(1, draw.randint(2, 6))]
    judged = {t: {d: draw.choice([0, 0, 0, 1, 2, 3, -1]) for d in documents if draw.random() < 0.7} for t in topics}
    # Topics without a grade from 0 make trec_eval read memory that it did not set, and run for minutes.
    judged = {t: grades for t, grades in judged.items() if max(grades.values(), default=-1) >= 0}
    ranked = {t: [(d, draw.choice([draw.randint(-3, 3), round(draw.gauss(0, 2), 3)])) for d in documents
                  if draw.random() < 0.6] for t in topics + ["unjudged"]}
    if draw.random() < 0.3:
        for t in topics:  # Repeated documents.
            ranked[t] += [(d, s - draw.random()) for d, s in ranked[t] if draw.random() < 0.2]
    if draw.random() < 0.3:
        ranked.pop(draw.choice(topics))  # A missing topic.
    if not judged or not any(ranked.get(t) for t in judged):
        continue
    lines = [f"{t} Q0 {d} 0 {s} tag" for t, pairs in ranked.items() for d, s in pairs]
    draw.shuffle(lines)
    (folder / "run").write_text("\n".join(lines) + "\n")
    (folder / "qrels").write_text("".join(f"{t} 0 {d} {g}\n" for t, ds in judged.items() for d, g in ds.items()))
    run = {}
    for t, pairs in ranked.items():
        run[t] = {}
        for d, s in pairs:
            run[t][d] = max(float(s), run[t].get(d, -math.inf))
    run = {t: ds for t, ds in run.items() if ds}
    level, primed = draw.choice([1, 2]), draw.random() < 0.5
    options = ["-q", "-l", str(level)] + ["-J"] * primed
    here = subprocess.run([example, "score", "--digits", *options, "-m", "all_trec", str(folder / "qrels"),
                           str(folder / "run")], capture_output=True, text=True, check=True).stdout
    here = {(label.strip(), topic): value for label, topic, value in (l.split("\t") for l in here.splitlines())}
    there = pytrec_eval.RelevanceEvaluator(judged, set(measures), relevance_level=level,
                                           judged_docs_only_flag=primed).evaluate(run)
    for topic, values in there.items():
        for label, value in values.items():
            if (label, topic) not in here:
                continue
            found = float(here[label, topic])
            difference = 0 if math.isnan(found) and math.isnan(value) else abs(found - value)
            compared += 1
            if not difference <= 1e-9:
                unequal.setdefault(label, []).append((case, topic, found, value))
            else:
                worst = max(worst, difference)
    if trec_eval and not any(len(pairs) != len(dict(pairs)) for pairs in ranked.values()):
        options = [o for o in options] + ["-c"]
        wanted = subprocess.run([trec_eval, *options, "-m", "all_trec", str(folder / "qrels"), str(folder / "run")],
                                capture_output=True, text=True)
        if wanted.returncode == 0:
            found = subprocess.run([example, "score", *options, "-m", "all_trec", str(folder / "qrels"),
                                    str(folder / "run")], capture_output=True, text=True, check=True).stdout
            bytes_compared += 1
            if found != wanted.stdout:
                bytes_different += 1
                for a, b in zip(found.splitlines(), wanted.stdout.splitlines()):
                    if a != b:
                        unequal.setdefault("bytes " + a.split()[0], []).append((case, a, b))
    # ranx leaves tied documents in another order.
    positive = {t: {d: g for d, g in ds.items() if g > 0} for t, ds in judged.items()}
    both = [t for t in run if positive.get(t)]
    if both and level == 1 and not primed and ranx_compared < 60:  # ranx is slow to start on each run.
        ranx = Run({t: run[t] for t in both})
        ranx_evaluate(Qrels({t: positive[t] for t in both}), ranx, ["map", "precision@5"], return_mean=False)
        for t in both:
            ranx_compared += 1
            ranx_different += abs(ranx.scores["map"][t] - float(here["map", t])) > 1e-9

print(f"{compared} values of {len(measures)} measures against pytrec-eval-terrier, worst difference {worst:.1e}")
print(f"outputs against trec_eval: {bytes_compared}, different {bytes_different}")
print(f"average precision against ranx: {ranx_compared} topics, different {ranx_different} (its order of ties)")
for label, cases in sorted(unequal.items()):
    print("unequal", label, len(cases), cases[0])
