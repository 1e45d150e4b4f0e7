"""TF-IDF and BM25 over the generated answers, score by score against scikit-learn and bm25s.

python against_bm25s.py EXAMPLE_BINARY FOLDER_OF_MSE_ARQMATH
"""
import csv
import glob
import html
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import bm25s
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

example, data = sys.argv[1], sys.argv[2]
texts = []
for path in sorted(glob.glob(f"{data}/generated-answers*")):
    raw = open(path, "rb").read()
    comma = b"\t" not in raw.split(b"\n")[0]
    decoded = raw.decode("cp1252" if comma else "utf-8")
    rows = csv.reader(io.StringIO(decoded, newline=""), delimiter="," if comma else "\t")
    texts += [row[1] for row in rows if row[0] != "Column1" and row[1].strip()]
topics = {}
for topic in ElementTree.parse(f"{data}/topics.arqmath-2022-task1.xml").getroot():
    text = topic.find("Title").text + " " + topic.find("Question").text
    topics[topic.get("number")] = html.unescape(re.sub("<[^>]*>", " ", text))

wanted = {}
for name, vectorizer in (
    ("characters", TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True)),
    ("blanks", TfidfVectorizer(analyzer=lambda text: text.lower().split(), sublinear_tf=True)),
):
    rows = vectorizer.fit_transform(texts)
    wanted["tfidf", len(vectorizer.vocabulary_)] = (name, (vectorizer.transform(topics.values()) @ rows.T).toarray())
tokens = [text.lower().split() for text in texts]
retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64")
retriever.index(tokens, show_progress=False)
words = {word for text in tokens for word in text}
scores = [retriever.get_scores([w for w in text.lower().split() if w in words]) for text in topics.values()]
wanted["bm25", len(words)] = ("bm25s", np.array(scores))

found = {key: np.zeros(matrix.shape) for key, (_, matrix) in wanted.items()}
place = {topic: index for index, topic in enumerate(topics)}
out = subprocess.run([example, "answers", data], capture_output=True, text=True, check=True).stdout
for line in out.splitlines():
    name, vocabulary, topic, text, score = line.split()
    found[name, int(vocabulary)][place[topic], int(text)] = float(score)
for key, (name, matrix) in wanted.items():
    print(name, matrix.shape, f"largest difference {np.abs(matrix - found[key]).max():.2e}")
