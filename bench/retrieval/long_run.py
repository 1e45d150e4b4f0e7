"""A run of 10^7 lines (10,000 topics x 1,000 documents) and its judgements: python long_run.py PREFIX"""
import random
import sys

draw = random.Random(3)
with open(sys.argv[1] + ".run", "w") as file:
    for t in range(10_000):
        file.write("".join(f"{t} Q0 {draw.randrange(10**7)}{i:04d} {i} {draw.random() * 100:.5f} long\n"
                           for i in range(1000)))
with open(sys.argv[1] + ".qrels", "w") as file:
    for t in range(10_000):
        file.write("".join(f"{t} 0 {i}x {i % 3}\n" for i in range(20)))
