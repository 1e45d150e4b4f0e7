"""Tasks of lm-eval by lm-eval 0.4.13 and by mathesis, with the same scripted replies: the same prompts byte for byte, the same figures.

    python3 bench/imports/tasks.py MATHESIS [DATA]

from the root of the repository. MATHESIS is the program. With DATA, a folder that holds `gsm8k/{train,test}.jsonl` and
`qwen25-math-eval/mmlu_stem.jsonl`, tasks that lm-eval ships are among them, on 200 documents each.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = pathlib.Path(__file__).resolve().parent / "tasks"


def number(*parts):
    """A number that depends on texts alone."""
    return int.from_bytes(hashlib.sha256("\x00".join(parts).encode()).digest()[:6], "big")


def likelihood(context, continuation):
    return -0.001 - number(context, continuation) % 100_000 / 7_000


def shipped(data, folder):
    """Task files that take those of lm-eval and name local data."""
    import lm_eval

    tasks = pathlib.Path(lm_eval.__file__).parent / "tasks"
    cut = lambda path, name: [
        (folder / name).write_text("".join(path.open(encoding="utf-8").readlines()[:200]), encoding="utf-8"),
        str(folder / name),
    ][1]
    gsm8k = {"train": str(data / "gsm8k/train.jsonl"), "test": cut(data / "gsm8k/test.jsonl", "gsm8k.jsonl")}
    mmlu = cut(data / "qwen25-math-eval/mmlu_stem.jsonl", "mmlu.jsonl")
    local = lambda files: {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    made = {
        "gsm8k_here": {"include": str(tasks / "gsm8k/gsm8k.yaml"), **local(gsm8k)},
        "gsm8k_cot_here": {"include": str(tasks / "gsm8k/gsm8k-cot.yaml"), **local(gsm8k)},
        "gsm8k_votes_here": {"include": str(tasks / "gsm8k/gsm8k-cot-self-consistency.yaml"), "repeats": 8, **local(gsm8k)},
        "mmlu_here": {
            "include": str(tasks / "mmlu/default/_default_template_yaml"),
            **local({"test": mmlu, "dev": mmlu}),
            "num_fewshot": 5,
        },
    }
    for name, task in made.items():
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({**task, "task": name, "tag": None}), encoding="utf-8")
    return sorted(folder.glob("*_here.yaml"))


def main(program, data):
    from lm_eval import evaluator
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Scripted(LM):
        def __init__(self):
            super().__init__()
            self.prompts, self.asked, self.counts = {}, [], {}

        def generate_until(self, requests, **_):
            replies = []
            for request in requests:
                context = request.args[0]
                at = self.counts[context] = self.counts.get(context, -1) + 1
                draw = number(context, str(at))
                # Some replies hold the answer; some have no number, some a wrong form.
                answer = str(request.doc.get("answer", "")).split("#### ")[-1]
                texts = [f"It is {answer}.", f"So #### {answer}", "I do not know", f" {answer} ", f"${draw % 90}, no: {answer}", f"Half of {draw % 50}", f"The answer is {answer}."]
                replies.append(texts[draw % len(texts)])
                self.prompts.setdefault(context, {"answers": []})["answers"].append(replies[-1])
                self.asked.append((context, request.args[1]))
            return replies

        def loglikelihood(self, requests, **_):
            values = []
            for request in requests:
                context, continuation = request.args
                values.append((likelihood(context, continuation), True))
                self.prompts.setdefault(context, {"likelihoods": []})["likelihoods"].append(values[-1][0])
                self.asked.append((context, continuation))
            return values

        def loglikelihood_rolling(self, requests, **_):
            raise NotImplementedError

    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = sorted(OWN.glob("*.yaml")) + (shipped(data, folder) if data else [])
        for path in paths:
            model = Scripted()
            task = path.stem
            manager = TaskManager(include_path=str(path.parent), include_defaults=False)
            results = evaluator.simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=100)["results"][task]
            script = folder / f"{task}.toml"
            script.write_text(f'answers = "{task}.jsonl"\n', encoding="utf-8")
            with (folder / f"{task}.jsonl").open("w", encoding="utf-8") as lines:
                for prompt, replies in model.prompts.items():
                    lines.write(json.dumps({"prompt": prompt, **replies}) + "\n")
            command = [program, "eval", path, "--model", f"scripted:{script}", "--calls", folder / f"{task}-calls", "--output", folder / task, "--quiet"]
            done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{task}: {done.stderr}")
            with (folder / task / "records.jsonl").open(encoding="utf-8") as lines:
                records = [json.loads(line) for line in lines]
            prompts = [record["prompt"] for record in records]
            theirs = list(dict.fromkeys(context for context, _ in model.asked))
            failed = sum(reply.get("ending") == "failed" for record in records for reply in record["replies"])
            same = list(dict.fromkeys(prompts)) == theirs and not failed
            figures = json.loads((folder / task / "lm_eval.json").read_text())
            for figure in figures:
                key = f'{figure["metric"]},{figure["filter"]}'
                distance = abs(results[key] - figure["value"]) / max(1.0, abs(results[key]))
                error = results.get(f'{figure["metric"]}_stderr,{figure["filter"]}')
                if isinstance(error, float) and figure["standard_error"] is not None:
                    distance = max(distance, abs(error - figure["standard_error"]))
                worst = max(worst, distance)
                print(f'{task:18} {len(records):5} documents, prompts {"the same" if same else "DIFFERENT"}, {key} {figure["value"]:.6f}, apart {distance:.1e}')
            if not same:
                at = next((i for i, pair in enumerate(zip(dict.fromkeys(prompts), theirs)) if pair[0] != pair[1]), None)
                sys.exit(f"{task}: {failed} failed; first other prompt {at}: {list(dict.fromkeys(prompts))[at or 0]!r} against {theirs[at or 0]!r}")
    print(f"largest difference {worst:.1e}")
    if worst > 1e-12:
        sys.exit("the figures differ")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else None)
