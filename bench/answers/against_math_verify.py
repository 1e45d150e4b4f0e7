"""The judge beside Math-Verify on the same answers: verdicts first, then times.

Arguments: the folder of the data sets (math-answers, math-votes-100). Needs math-verify[antlr4_13_2]==0.9.0.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from math_verify import parse, verify

data = Path(sys.argv[1])
answers_file = data / "math-answers" / "math_test_answers.jsonl"
votes_file = data / "math-votes-100" / "votes.jsonl"
command = ["cargo", "run", "--release", "-q", "-p", "mathesis-reasoning", "--example", "judge_speed", "--"]
ours = json.loads(subprocess.run(command + [answers_file, votes_file], check=True, capture_output=True).stdout)

answers = [json.loads(line)["answer"] for line in open(answers_file)]
start = time.perf_counter()
accepted = sum(verify(parse(f"\\boxed{{{a}}}"), parse(f"\\boxed{{{a}}}")) for a in answers)
self_time = time.perf_counter() - start

start = time.perf_counter()
correct = 0
for line in open(votes_file):
    row = json.loads(line)
    gold = parse(f"\\boxed{{{row['gt']}}}")
    correct += sum(verify(gold, parse(text)) for text in row["code"])
votes_time = time.perf_counter() - start

print(f"self-comparisons: ours {ours['identical']} in {ours['identical_s']:.4f} s, read in another form "
      f"{ours['rewritten']} in {ours['rewritten_s']:.4f} s; Math-Verify {accepted} in {self_time:.2f} s; "
      f"ratios {self_time / ours['identical_s']:.0f} and {self_time / ours['rewritten_s']:.0f}")
print(f"800 outputs: ours {ours['outputs_correct']} correct in {ours['outputs_s']:.4f} s; "
      f"Math-Verify {correct} in {votes_time:.2f} s; ratio {votes_time / ours['outputs_s']:.0f}")
print(f"full scale: {ours['full_scale_samples']} samples in {ours['full_scale_s']:.1f} s")
