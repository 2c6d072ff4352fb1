"""Checks the documents: relative links lead somewhere, the Python blocks of RUN run, each alone."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# documents whose examples need nothing but fastconv
RUN = ("README.md", "docs/weights.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def documents() -> list[Path]:
    """The Markdown files of the project, in a fixed order."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("csrc/**/*.md")])


def broken_links(document: Path) -> list[str]:
    """One line per link to a file that does not exist."""
    # [a](b) inside code is a C++ lambda or an index, not a link
    prose = CODE.sub("", document.read_text())
    targets = [t for t in LINK.findall(prose) if "://" not in t]
    return [
        f"{document.relative_to(ROOT)}: no file {target}"
        for target in targets
        if not (document.parent / target).exists()
    ]


def runs(block: str) -> bool:
    """Whether the example ends well, in a folder of its own: some write files."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        # warnings as in the tests: an example must not teach something deprecated
        command = [sys.executable, "-W", "error", "-c", block]
        result = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path})
    return result.returncode == 0


def main() -> int:
    problems = [problem for document in documents() for problem in broken_links(document)]
    print("\n".join(problems) or f"{len(documents())} documents, links fine")
    for name in RUN:
        for number, block in enumerate(BLOCK.findall((ROOT / name).read_text()), 1):
            print(f"{name}, Python block {number}", flush=True)
            if not runs(block):
                problems.append(f"{name}: Python block {number} failed")
                print(problems[-1])
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
