"""hnswlib on 100,000 x 256 unit vectors around a 24-dimensional subspace, which it writes as npy files first.

python against_hnswlib.py PREFIX LINKS BREADTH
"""
import sys
import time

import hnswlib
import numpy as np

prefix, links, breadth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = np.random.default_rng(1)
basis = draw.standard_normal((24, 256)).astype("f4")


def rows(count):
    near = draw.standard_normal((count, 24)).astype("f4") @ basis
    noisy = near + 0.7 * draw.standard_normal((count, 256)).astype("f4")
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype("f4")


base, query = rows(100_000), rows(300)
np.save(prefix + ".base.npy", base)
np.save(prefix + ".query.npy", query)
index = hnswlib.Index(space="ip", dim=256)
index.init_index(max_elements=len(base), ef_construction=breadth, M=links)
index.set_num_threads(2)
start = time.time()
index.add_items(base)
print(f"build {time.time() - start:.2f} s")
exact = np.argsort(-(query @ base.T), axis=1)[:, :10]
index.set_num_threads(1)
for ef in (16, 32, 64, 128, 256):
    index.set_ef(ef)
    start = time.time()
    found, _ = index.knn_query(query, k=10)
    taken = (time.time() - start) * 1e3 / len(query)
    right = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)])
    print(f"{ef} recall {right:.4f} {taken:.3f} ms")
