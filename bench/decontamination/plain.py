"""The decontamination rule in plain Python: lists of texts, sets of n-grams.

    python3 bench/decontamination/plain.py RECORDS.jsonl[#FIELD] N SET=FILE[#FIELD+FIELD] ...

Prints the records that each reason removes, the size of each set, and the time without reading the files.
"""

import collections
import json
import pathlib
import sys
import time

USUAL = ["question", "problem", "content", "text", "input", "m_query"]


def texts(place):
    path, _, names = place.partition("#")
    text = pathlib.Path(path).read_text(encoding="utf-8")
    names = names.split("+") if names else []
    if path.endswith(".tsv"):
        return [line.split("\t")[int(names[0]) - 1] for line in text.split("\n") if line]
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.split("\n") if x.strip()]
    fields = names or [next(name for name in USUAL if name in rows[0])]
    return [" ".join(row[name] for name in fields) for row in rows]


def ngrams(text, n):
    words = text.lower().split()
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def main():
    records = texts(sys.argv[1])
    n = int(sys.argv[2])
    given = [argument.split("=", 1) for argument in sys.argv[3:]]
    given = [(name, texts(place)) for name, place in given]
    start = time.perf_counter()
    sets = [(name, [t.lower() for t in of], set().union(*(ngrams(t, n) for t in of))) for name, of in given]
    reasons = collections.Counter()
    for record in records:
        lower = record.lower()
        reason = next((f"{name}_match" for name, of, _ in sets if any(text in lower for text in of)), None)
        if reason is None:
            grams = ngrams(record, n)
            reason = next((f"{name}_match_{n}gram" for name, _, of in sets if not grams.isdisjoint(of)), None)
        if reason:
            reasons[reason] += 1
    seconds = time.perf_counter() - start
    print(f"{len(records)} records, {sum(reasons.values())} removed: {dict(sorted(reasons.items()))}")
    for name, of, grams in sets:
        short = sum(len(text.split()) < n for text in of)
        print(f"{name}: {len(of)} texts, {short} short, {len(grams)} n-grams")
    print(f"{seconds:.3f} s")


main()
