"""Keeps the README and the book true: their links lead somewhere, their commands and problem files run.

    python3 .ci/documentation.py links
    python3 .ci/documentation.py commands PATH_TO_MATHESIS

`commands` runs every `mathesis` command of the README's ```sh blocks and solves every whole problem file that stands in a
```toml block of the README or the book.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "src"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(BOOK.rglob("*.md"))]
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|<img[^>]*\ssrc=\"([^\"]+)\"")
INCLUDE = re.compile(r"\{\{#include ([^}:\s]+)[^}]*\}\}")
# What a ```sh block may hold besides mathesis: the test and build commands, which .ci/run runs itself.
LEFT_OUT = {("cargo", "build"), ("cargo", "test"), ("cargo", "nextest"), ("cargo", "install")}


def short(path):
    return path.relative_to(ROOT)


def anchors(page):
    """The anchors of a page's headings, as GitHub and mdBook make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links():
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in INCLUDE.findall(text):
            if not (page.parent / target).is_file():
                wrong.append(f"{short(page)}: includes {target}, which does not exist")
        prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
        for groups in LINK.findall(prose):
            target = groups[0] or groups[1]
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                wrong.append(f"{short(page)}: {target} leads nowhere")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                wrong.append(f"{short(page)}: {target}: no such heading")
    summary = (BOOK / "SUMMARY.md").read_text(encoding="utf-8")
    chapters = {(BOOK / target).resolve() for target in re.findall(r"\]\(([^)]+)\)", summary)}
    for page in BOOK.rglob("*.md"):
        if page.name != "SUMMARY.md" and page.resolve() not in chapters:
            wrong.append(f"{short(page)}: not in SUMMARY.md")
    # The pages that the experiments name.
    for description in sorted((ROOT / "experiments").glob("*/experiment.toml")):
        page = re.search(r'^page = "([^"]+)"', description.read_text(encoding="utf-8"), re.MULTILINE)
        if page and not (ROOT / page[1]).is_file():
            wrong.append(f"{short(description)}: its page {page[1]} does not exist")
    return f"{len(PAGES)} pages", wrong


def blocks(page, language):
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def readme_commands():
    """The README's commands for mathesis as lists of arguments; complaints about lines that are of no known kind."""
    commands, wrong = [], []
    for block in blocks(ROOT / "README.md", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words or tuple(words[:2]) in LEFT_OUT:
                continue
            if words[:2] == ["cargo", "run"] and "--" in words:
                commands.append(words[words.index("--") + 1 :])
            elif words[0] == "mathesis":
                commands.append(words[1:])
            else:
                wrong.append(f"README.md: `{line}` cannot be checked; write ```console for what is not to be run")
    return commands, wrong


def commands(binary):
    binary = pathlib.Path(binary).resolve()
    listed, wrong = readme_commands()
    if not listed:
        wrong.append("README.md: there is no command in a ```sh block")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ("examples", "experiments"):
            os.symlink(ROOT / name, folder / name)
        for page in PAGES:
            problems = [text for text in blocks(page, "toml") if "[domain]" in text and "[equation]" in text]
            for number, text in enumerate(problems, 1):
                name = f"{short(page).with_suffix('').as_posix().replace('/', '-')}-{number}.toml"
                (folder / name).write_text(text, encoding="utf-8")
                listed.append(["solve", name, "--quiet"])
        for arguments in listed:
            print("mathesis", *arguments, flush=True)
            done = subprocess.run(
                [binary, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if done.returncode != 0:
                wrong.append(f"mathesis {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return f"{len(listed)} commands", wrong


def main():
    arguments = sys.argv[1:]
    if arguments == ["links"]:
        checked, wrong = links()
    elif len(arguments) == 2 and arguments[0] == "commands":
        checked, wrong = commands(arguments[1])
    else:
        sys.exit(__doc__)
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    print(f"{checked} checked, {len(wrong)} complaints")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
