"""The artificial runs of the specification over the ARQMath judgements, written as files to score.

python reference_table.py FOLDER_OF_MSE_ARQMATH OUT_FOLDER
"""
import sys
from pathlib import Path

data, out = Path(sys.argv[1]), Path(sys.argv[2])
judged = [line.split() for line in open(data / "qrels.arqmath-2022-task1-official.txt")]
runs = {
    "id": lambda i, g: i, "minus-id": lambda i, g: -i, "mod97": lambda i, g: i % 97, "grade": lambda i, g: g,
}
for name, score in runs.items():
    (out / name).write_text("".join(f"{t} Q0 {d} 0 {score(int(d), int(g))} {name}\n" for t, _, d, g in judged))
