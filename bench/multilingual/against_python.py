"""The last-number rule beside Python's regular expressions, and scores by language beside statsmodels.

    python against_python.py PATH_TO_EXAMPLE FOLDER_OF_THE_DATA

Stored replies are the four models' solutions of GSM8K's test part. Ends with exit code 1 if a value differs by more than
1e-9, or the rule is less than 20 times as fast as Python's.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

MODELS = {"en": "175b_verification", "de": "6b_verification", "fr": "175b_finetuning", "th": "6b_finetuning"}
COMMA = re.compile(r"(\d),(\d)")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def stored(data):
    lines = []
    for item, text in enumerate((data / "gsm8k-model-solutions/example_model_solutions.jsonl").open()):
        row = json.loads(text)
        # Two references stand without the line of four signs; the last number is the answer in all.
        reference = re.findall(r"-?[\d,.]*\d", row["ground_truth"])[-1].replace(",", "")
        for language, model in MODELS.items():
            lines.append({"item": item, "language": language, "reference": reference, "reply": row[model]["solution"]})
    return lines


def last_number(text):
    found = NUMBER.findall(COMMA.sub(r"\1\2", text))
    return found[-1] if found else "0.0"


def rule(binary, file, lines):
    rounds = -(-1_000_000 // len(lines))
    output = subprocess.run([binary, "last-number", file, str(rounds)], capture_output=True, text=True, check=True)
    ours = json.loads(output.stdout)
    different = [a for a, b in zip(ours["answers"], (last_number(line["reply"]) for line in lines), strict=True) if a != b]
    pairs = [(line["reply"], float(line["reference"])) for line in lines]
    start, start_wall, right = time.process_time(), time.perf_counter(), 0
    for _ in range(rounds):
        for reply, reference in pairs:
            right += abs(float(last_number(reply)) - reference) < 1e-3
    seconds, wall = time.process_time() - start, time.perf_counter() - start_wall
    times = seconds / ours["seconds"]
    print(f"last number: {ours['replies']} replies, {len(different)} different; {ours['right']} and {right} right; "
          f"{ours['seconds']:.3f} s here, {seconds:.2f} s in Python, on the core: {times:.0f} times; "
          f"by the clock {ours['wall_seconds']:.2f} s and {wall:.2f} s")
    strict = ours["strict_seconds"] / ours["strict_replies"] * 1e6
    print(f"strict mode: {ours['strict_right']} of {ours['strict_replies']} right, {strict:.2f} s for 10^6 replies")
    return not different and right == ours["right"] and ours["seconds"] < 5 and times >= 20


def splitmix(seed, count):
    """The first numbers of the stream of a seed."""
    with np.errstate(over="ignore"):
        golden = np.uint64(0x9E3779B97F4A7C15)

        def mixed(z):
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return z ^ (z >> np.uint64(31))

        state = mixed(golden) ^ np.uint64(seed)
        return mixed(state + golden * np.arange(1, count + 1, dtype=np.uint64))


def bootstrap(scores, replicates=2000):
    n = np.uint64(len(scores))
    drawn = splitmix(0, replicates * len(scores))
    # The upper word of the product with n.
    low = (drawn & np.uint64(0xFFFFFFFF)) * n >> np.uint64(32)
    places = ((drawn >> np.uint64(32)) * n + low) >> np.uint64(32)
    means = np.asarray(scores)[places.astype(int)].reshape(replicates, -1).mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


def report(binary, file, lines):
    output = subprocess.run([binary, "languages", file], capture_output=True, text=True, check=True)
    ours = json.loads(output.stdout)
    scores = {language: np.array([s for s, line in zip(ours["scores"], lines, strict=True) if line["language"] == language])
              for language in MODELS}
    for language, values in scores.items():
        theirs = [abs(float(last_number(line["reply"])) - float(line["reference"])) < 1e-3
                  for line in lines if line["language"] == language]
        assert (values == theirs).all(), language
    gaps = {}

    def compare(name, mine, theirs):
        gaps[name] = max(gaps.get(name, 0.0), abs(mine - float(theirs)))

    result = ours["report"]
    for row in result["languages"]:
        values = scores[row["language"]]
        compare("accuracy", row["accuracy"]["value"], values.mean())
        low, high = proportion_confint(values.sum(), len(values), 0.05, "wilson")
        compare("Wilson interval", row["accuracy"]["interval"]["low"], low)
        compare("Wilson interval", row["accuracy"]["interval"]["high"], high)
        low, high = bootstrap(values)
        compare("bootstrap", row["bootstrap"]["low"], low)
        compare("bootstrap", row["bootstrap"]["high"], high)
        if row["gap"]:
            differences = DescrStatsW(scores["en"] - values)
            low, high = differences.tconfint_mean(0.05)
            compare("gap", row["gap"]["difference"], differences.mean)
            compare("gap's error", row["gap"]["standard_error"], differences.std_mean)
            compare("gap's interval", row["gap"]["interval"]["low"], low)
            compare("gap's interval", row["gap"]["interval"]["high"], high)
            compare("gap's t test", row["gap"]["t_test"], differences.ttest_mean(0)[1])
    exact = []
    for pair in result["pairs"]:
        a, b = scores[pair["first"]], scores[pair["second"]]
        table = [[((a == i) & (b == j)).sum() for j in (1, 0)] for i in (1, 0)]
        exact.append(mcnemar(table, exact=True).pvalue)
        compare("McNemar", pair["mcnemar"]["exact"], exact[-1])
    for pair, corrected in zip(result["pairs"], multipletests(exact, method="holm")[1], strict=True):
        compare("Holm", pair["corrected"], corrected)
    means = [values.mean() for values in scores.values()]
    compare("mean", result["mean"], np.mean(means))
    compare("mean without English", result["mean_without_english"], np.mean(means[1:]))
    for name, gap in gaps.items():
        print(f"{name}: largest difference {gap:.1e}")
    return max(gaps.values()) <= 1e-9


def main():
    binary, data = sys.argv[1], Path(sys.argv[2])
    lines = stored(data)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.flush()
        passed = [report(binary, file.name, lines), rule(binary, file.name, lines)]
    sys.exit(not all(passed))


main()
