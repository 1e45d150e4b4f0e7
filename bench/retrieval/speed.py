"""Parse and score: here against pytrec-eval-terrier, both from files to per-topic values, in the same run.

python speed.py EXAMPLE_BINARY FOLDER_OF_MSE_ARQMATH
"""
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytrec_eval

example, data = sys.argv[1], Path(sys.argv[2])
qrels = data / "qrels.arqmath-2022-task1-official.txt"
draw = random.Random(1)
judged = {}
for line in open(qrels):
    topic, _, document, _ = line.split()
    judged.setdefault(topic, []).append(document)
run = Path(tempfile.mkdtemp()) / "run"
with open(run, "w") as file:
    for topic, documents in judged.items():
        others = [str(draw.randrange(10_000_000, 99_999_999)) for _ in range(1000 - min(len(documents), 400))]
        for rank, document in enumerate(draw.sample(documents, 1000 - len(others)) + others):
            file.write(f"{topic}\tQ0\t{document}\t{rank}\t{draw.random():.6f}\trun\n")
measures = set(pytrec_eval.supported_measures)


def theirs():
    start = time.perf_counter()
    with open(qrels) as file:
        judgements = pytrec_eval.parse_qrel(file)
    with open(run) as file:
        ranking = pytrec_eval.parse_run(file)
    pytrec_eval.RelevanceEvaluator(judgements, measures, relevance_level=2, judged_docs_only_flag=True).evaluate(ranking)
    return time.perf_counter() - start


def ours():
    start = time.perf_counter()
    out = subprocess.run([example, "score", "-q", "-J", "-l", "2", "-m", "all_trec", str(qrels), str(run)],
                         capture_output=True, text=True, check=True)
    return time.perf_counter() - start, out.stderr.strip()


theirs(), ours()
there = statistics.median(theirs() for _ in range(7))
here = sorted(ours() for _ in range(7))[3]
print(f"78 topics x 1,000 documents: here {here[0] * 1e3:.1f} ms with the start of the process ({here[1]}), "
      f"pytrec-eval-terrier {there * 1e3:.1f} ms, ratio {there / here[0]:.1f}")
