"""Macro F1 of `crates/reasoning/examples/countermath.rs` beside scikit-learn's, on 1,000 random pairs of vectors.

usage: against_scikit_learn.py EXAMPLE
"""

import json
import random
import subprocess
import sys
import warnings

from sklearn.metrics import accuracy_score, f1_score

draw = random.Random(1)


def vectors():
    """Labels of one or two classes, predictions of one to three."""
    truth = draw.choice([[0], [1], [0, 1]])
    said = draw.choice([[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
    return [[draw.choice(truth), draw.choice(said)] for _ in range(draw.randrange(1, 300))]


warnings.filterwarnings("ignore")
lists = [vectors() for _ in range(1000)]
done = subprocess.run([sys.argv[1]], input=json.dumps(lists), capture_output=True, text=True, check=True)
worst = 0.0
for pairs, (macro, of_two, accuracy) in zip(lists, json.loads(done.stdout)):
    truth, said = zip(*pairs)
    worst = max(
        worst,
        abs(macro - f1_score(truth, said, average="macro")),
        abs(of_two - f1_score(truth, said, average="macro", labels=[0, 1])),
        abs(accuracy - accuracy_score(truth, said)),
    )
print(f"1,000 pairs of vectors: largest difference {worst:.1e}")
assert worst < 1e-12
