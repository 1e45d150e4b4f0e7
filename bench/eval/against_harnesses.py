"""GSM8K on a model that answers at once: mathesis eval, lm-eval 0.4.13 and inspect-ai 0.3.285 in one run.

    python3 against_harnesses.py MATHESIS DATA [REPEATS]

Each tool reads the 1,319 problems, makes the prompts, "asks" a mock in its own process, finds the last number, judges
it, and writes its log with every sample. Times are those of whole commands, and for the Python tools also without their
start (imports and the reading of configurations).
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

REPLY = "Seven groups of one are seven, so the answer follows.\nAnswer: 7"
PROMPT = "Solve the problem. Reason step by step and end with a line 'Answer: ...'.\n\n"


def rows(data):
    for line in open(f"{data}/gsm8k/test.jsonl"):
        row = json.loads(line)
        yield row["question"], row["answer"].split("####")[1].strip().replace(",", "")


def lm_eval(data, folder):
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker

    class Mock(LM):
        def generate_until(self, requests, disable_tqdm=False):
            return [REPLY for _ in requests]

        def loglikelihood(self, requests, disable_tqdm=False):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    table = folder / "rows.jsonl"
    table.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows(data)))
    task = {
        "task": "gsm8k_local", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(table)}},
        "test_split": "test", "doc_to_text": PROMPT + "{{question}}", "doc_to_target": "{{answer}}",
        "output_type": "generate_until", "generation_kwargs": {"until": ["\n\n\n"], "do_sample": False},
        "filter_list": [{"name": "last-number", "filter": [
            {"function": "regex", "group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"},
            {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    start = time.perf_counter()
    tracker = EvaluationTracker(output_path=str(folder / "lm-eval"))
    result = simple_evaluate(model=Mock(), tasks=[task], log_samples=True, evaluation_tracker=tracker)
    samples = result.pop("samples")
    tracker.save_results_aggregated(results=result, samples=samples)
    for name in samples:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    seconds = time.perf_counter() - start
    score = next(v for k, v in result["results"]["gsm8k_local"].items() if k.startswith("exact_match,"))
    return len(samples["gsm8k_local"]), score, seconds


def inspect(data, folder):
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    def outputs():
        while True:
            output = ModelOutput.from_content("mockllm/model", REPLY)
            # Otherwise the mock counts tokens with an encoding that it fetches from the web.
            output.usage = ModelUsage(input_tokens=100, output_tokens=20, total_tokens=120)
            yield output

    start = time.perf_counter()
    dataset = MemoryDataset([Sample(input=PROMPT + q, target=a, id=i) for i, (q, a) in enumerate(rows(data))])
    log = eval(Task(dataset=dataset, solver=generate(), scorer=match(numeric=True)), display="none",
               model=get_model("mockllm/model", custom_outputs=outputs()), max_connections=64, max_samples=64,
               log_dir=str(folder / "inspect"))[0]
    seconds = time.perf_counter() - start
    assert log.status == "success", log.error
    return log.results.completed_samples, log.results.scores[0].metrics["accuracy"].value, seconds


def main(mathesis, data, repeats=3):
    figures = {}
    for _ in range(int(repeats)):
        for name in ("mathesis", "lm-eval", "inspect"):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                start = time.perf_counter()
                if name == "mathesis":
                    (folder / "mock.toml").write_text(f"model = \"mock\"\n[[rule]]\nanswers = [{json.dumps(REPLY)}]\n")
                    command = [mathesis, "eval", "gsm8k", "--model", f"scripted:{folder}/mock.toml", "--data", data,
                               "--calls", folder / "calls", "--output", folder / "run", "--json"]
                    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    result = json.loads(text)["result"]
                    n, score, inner = result["problems"], result["accuracy"]["value"], None
                else:
                    command = [sys.executable, __file__, "--one", name, data, folder]
                    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    n, score, inner = json.loads(text.splitlines()[-1])
                figures.setdefault(name, []).append((time.perf_counter() - start, inner, n, score))
    ours = statistics.median(row[0] for row in figures["mathesis"])
    for name, measured in figures.items():
        whole = statistics.median(row[0] for row in measured)
        inner = statistics.median(row[1] or row[0] for row in measured)
        n, score = measured[0][2:]
        print(f"{name:9} {n} samples, accuracy {score:.4f}: {whole:.2f} s whole, {inner:.2f} s without start "
              f"({n / inner:.0f}/s); {whole / ours:.1f}x, {inner / ours:.1f}x of mathesis")


if sys.argv[1] == "--one":
    print(json.dumps({"lm-eval": lm_eval, "inspect": inspect}[sys.argv[2]](sys.argv[3], pathlib.Path(sys.argv[4]))))
else:
    main(*sys.argv[1:])
