"""Logs of lm-eval and inspect-ai on examples/word-problems, by models that answer by rote.

    python3 logs.py FOLDER

writes FOLDER/lm-eval.jsonl and FOLDER/inspect.eval. Nothing is fetched: inspect counts tokens by words here.
"""

import json
import pathlib
import shutil
import sys
import tempfile

PROBLEMS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "word-problems" / "problems.jsonl"
ROWS = [json.loads(line) for line in PROBLEMS.read_text(encoding="utf-8").splitlines()]
THOUGHT = "We look at it from all sides. " * 100


def lm_eval(to):
    from lm_eval import evaluator
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Rote(LM):
        def generate_until(self, requests, **_):
            answers = {row["question"]: row["answer"] for row in ROWS}
            question = lambda request: request.args[0].removeprefix("Question: ").removesuffix("\nAnswer:")
            return [f"{THOUGHT}\nAnswer: {answers[question(request)]}" for request in requests]

        def loglikelihood(self, *_):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        task = {
            "task": "words",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(PROBLEMS)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{answer}}",
            "repeats": 2,
            "filter_list": [
                {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}]}
                for name, pattern in [("strict", "Answer: (.*)"), ("flexible", "([0-9.]+)")]
            ],
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        }
        (folder / "words.yaml").write_text(json.dumps(task), encoding="utf-8")
        results = evaluator.simple_evaluate(
            model=Rote(), tasks=["words"], task_manager=TaskManager(include_path=str(folder)), log_samples=True, bootstrap_iters=0
        )
        samples = results.pop("samples")
        tracker = EvaluationTracker(output_path=str(folder / "out"))
        tracker.save_results_aggregated(results=results, samples=samples)
        tracker.save_results_samples(task_name="words", samples=samples["words"])
        shutil.copy(next((folder / "out").rglob("samples_words_*.jsonl")), to)


def inspect(to):
    import tiktoken

    class Words:
        def encode(self, text, **_):
            return text.split()

        encode_ordinary = encode

    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda _: Words()
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, get_model
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate, prompt_template

    reply = lambda text, stop="stop": ModelOutput.from_content("mockllm/model", text, stop_reason=stop)
    replies = [reply(f"{THOUGHT}\nAnswer: {row['answer']}") for row in ROWS]
    replies += [reply("I begin", "max_tokens"), reply("No.", "content_filter")] + replies[2:]
    task = Task(
        dataset=[Sample(input=row["question"], target=row["answer"]) for row in ROWS],
        solver=[prompt_template("Solve this: {prompt}"), generate()],
        scorer=includes(),
        epochs=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        model = get_model("mockllm/model", custom_outputs=replies)
        eval(task, model=model, log_dir=folder, display="none", max_connections=1, max_samples=1)
        shutil.copy(next(pathlib.Path(folder).glob("*.eval")), to)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lm_eval(folder / "lm-eval.jsonl")
    inspect(folder / "inspect.eval")
