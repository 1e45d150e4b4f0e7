"""Lexical baselines, scores and kappas of `crates/reasoning/examples/misconceptions.rs` beside scikit-learn's.

usage: against_scikit_learn.py EXAMPLE FOLDER   (FOLDER holds data.json and the two published logs)
"""

import csv
import json
import random
import statistics
import subprocess
import sys
import time

import numpy
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import classification_report, cohen_kappa_score

EXAMPLE, FOLDER = sys.argv[1:3]
TRIALS, REPEATS = 100, 5
OPTIONS = {
    "words": dict(token_pattern=r"\S+"),
    "characters": dict(analyzer="char", ngram_range=(2, 5)),
}


def ask(*arguments, text=None):
    done = subprocess.run([EXAMPLE, *arguments], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def fitted_once(texts, labels, batches, options):
    """Vectors of all texts once, then a product and a maximum for each batch."""
    vectors = TfidfVectorizer(sublinear_tf=True, **options).fit_transform(texts)
    nearest, right = [], 0
    for train, test in batches:
        likeness = (vectors[test] @ vectors[train].T).toarray()
        found = train[likeness.argmax(1)]
        nearest.append(found)
        right += int((labels[found] == labels[test]).sum())
    return nearest, right


def fitted_each_time(texts, labels, batches, options):
    """The plain way: vectors of the train rows of every batch anew."""
    right = 0
    for train, test in batches:
        vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
        shown = vectorizer.fit_transform([texts[k] for k in train])
        likeness = (vectorizer.transform([texts[k] for k in test]) @ shown.T).toarray()
        right += int((labels[train[likeness.argmax(1)]] == labels[test]).sum())
    return right


def timed(work, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def lexical():
    items = json.load(open(f"{FOLDER}/data.json"))
    texts = [f"{item['Question']} {item['Incorrect Answer']}" for item in items]
    labels = numpy.array([item["Misconception ID"] for item in items])
    topics = numpy.array([item["Topic"] for item in items])
    mine = ask("lexical", FOLDER, str(TRIALS), str(REPEATS))
    batches = [(numpy.array(batch["train"]), numpy.array(batch["test"])) for batch in mine["batches"]]
    for terms, options in OPTIONS.items():
        of = mine["terms"][terms]
        vectors = TfidfVectorizer(sublinear_tf=True, **options).fit_transform(texts)
        likeness = (vectors @ vectors.T).toarray()
        numpy.fill_diagonal(likeness, -1.0)
        nearest = likeness.argmax(1)
        within = numpy.where(topics[:, None] == topics[None, :], likeness, -1.0).argmax(1)
        assert nearest.tolist() == of["nearest"] and within.tolist() == of["nearest_in_topic"]
        counts = [int((labels[found] == labels).sum()) for found in (nearest, within)]
        found, right = fitted_once(texts, labels, batches, options)
        assert [each.tolist() for each in found] == of["tests"] and right == of["right"]
        for name in ("cross-topic", "topic-constrained"):
            chosen = [k for k, batch in enumerate(mine["batches"]) if batch["experiment"] == name]
            hits = sum(int((labels[found[k]] == labels[batches[k][1]]).sum()) for k in chosen)
            total = sum(len(batches[k][1]) for k in chosen)
            print(f"{terms:10} {name:17} {hits} of {total} = {hits / total:.4f}")
        once = timed(lambda: fitted_once(texts, labels, batches, options), REPEATS)
        each = timed(lambda: fitted_each_time(texts, labels, batches, options), 1)
        print(f"{terms:10} left one out: {counts[0]} of 220, within the topic {counts[1]} of 220")
        print(
            f"{terms:10} {len(batches)} prompts: here {1e3 * of['seconds']:.2f} ms; scikit-learn {1e3 * once:.1f} ms with "
            f"vectors fitted once ({once / of['seconds']:.1f} times), {each:.2f} s fitted for every prompt "
            f"({each / of['seconds']:.0f} times)"
        )


def logs():
    worst = 0.0
    for name in ("experiment_1", "experiment_2"):
        path = f"{FOLDER}/{name}_gpt-4-turbo_100iters.csv"
        rows = list(csv.DictReader(open(path)))
        truth = [row["Misconception ID"] for row in rows]
        predicted = [row["Predicted Diagnosis"] for row in rows]
        mine = ask("log", path)
        labels = sorted(set(truth))
        over_all = classification_report(truth, predicted, output_dict=True, zero_division=0)
        over_true = classification_report(truth, predicted, labels=labels, output_dict=True, zero_division=0)
        pairs = [(mine["macro_all"], over_all["macro avg"]), (mine["macro_true"], over_true["macro avg"])]
        pairs += [(label["values"], over_all[label["misconception"]]) for label in mine["labels"]]
        for ours, theirs in pairs:
            for key, other in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                worst = max(worst, abs(ours[key] - theirs[other]))
        worst = max(worst, abs(mine["accuracy"] - over_all["accuracy"]))
        print(f"{name}: {mine['right']} of {mine['decisions']}, macro F1 {mine['macro_true']['f1']:.4f}")
    print(f"logs: largest difference from classification_report {worst:.1e}")
    assert worst < 1e-12


def kappas():
    draw = random.Random(1)
    lists = [[[draw.randrange(5), draw.randrange(5)] for _ in range(draw.randrange(2, 60))] for _ in range(1000)]
    worst = 0.0
    for pairs, mine in zip(lists, ask("kappa", text=json.dumps(lists))):
        first, second = zip(*pairs)
        for weights, ours in zip((None, "linear", "quadratic"), mine):
            theirs = cohen_kappa_score(first, second, labels=range(5), weights=weights)
            if ours is None:
                assert numpy.isnan(theirs)
            else:
                worst = max(worst, abs(ours - theirs))
    print(f"kappa: 3,000 values, largest difference {worst:.1e}")
    assert worst < 1e-12


lexical()
logs()
kappas()
