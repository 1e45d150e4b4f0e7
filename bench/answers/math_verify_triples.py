"""The (gold, prediction, expected) triples of Math-Verify's own tests, as JSON lines.

Arguments: the source archive math_verify-0.9.0.tar.gz, and the file to write (outside the repository: the cases are
not ours). The archive comes from `pip download --no-deps --no-binary math-verify math-verify==0.9.0`.

The test files run with recorders in place of pytest and math_verify, so that every case is written down with the
targets and options that its test hands to the checker.
"""

import json
import sys
import tarfile
import tempfile
import types
from pathlib import Path


class Target:
    def __init__(self, **options):
        self.options = options


class Latex(Target):
    name = "latex"


class Expression(Target):
    name = "expr"


class Strings(Target):
    name = "string"


def parse(text, targets=None, **_):
    return text, [target.name for target in targets or [Latex(), Expression()]], targets


def verify(gold, prediction, **options):
    boxed = [t.options.get("boxed_match_priority", 50) for t in gold[2] or [] if t.name == "latex"]
    recorded.append({"gold": gold[0], "answer": prediction[0], "targets": gold[1],
                     "boxes_first": boxed == [0], **options})
    return False


def parametrize(names, cases, **_):
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function):
        function.cases = [dict(zip(names, case if len(names) > 1 else [case])) for case in cases]
        return function

    return mark


def module(name, **content):
    made = types.ModuleType(name)
    made.__dict__.update(content)
    made.__getattr__ = lambda missing: None
    sys.modules[name] = made
    return made


archive, output = sys.argv[1:]
mark = types.SimpleNamespace(parametrize=parametrize)
module("pytest", mark=mark, raises=None)
module("sympy")
module("math_verify", parse=parse, verify=verify, LatexExtractionConfig=Latex, ExprExtractionConfig=Expression,
       StringExtractionConfig=Strings)
module("math_verify.grader")
module("math_verify.parser")
module("math_verify.errors")
module("tests").__path__ = []

recorded, triples = [], []
with tempfile.TemporaryDirectory() as folder:
    tarfile.open(archive).extractall(folder, filter="data")
    for file in sorted(Path(folder).glob("*/tests/test_*.py")):
        tests = module(f"tests.{file.stem}")
        try:
            exec(compile(file.read_text(), file.name, "exec"), tests.__dict__)
        except (TypeError, ImportError, AttributeError):
            continue
        for name, test in list(vars(tests).items()):
            for at, case in enumerate(getattr(test, "cases", None) or []):
                recorded.clear()
                try:
                    test(**case)
                except Exception:
                    pass
                expected = case.get("expected", case.get("result"))
                if len(recorded) == 1 and isinstance(expected, (int, bool)):
                    triples.append({"id": f"{file.stem}.{name}.{at}", **recorded[0], "expected": bool(expected)})

with open(output, "w") as lines:
    lines.writelines(json.dumps(triple) + "\n" for triple in triples)
print(f"{len(triples)} triples")
