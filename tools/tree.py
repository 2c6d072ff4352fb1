"""A copy of the package and its tests around another native module than this environment's."""

import shutil
from pathlib import Path


def copy_package(project: Path, module: Path, tree: Path) -> None:
    """A tree with the Python files, the tests and another native module."""
    shutil.rmtree(tree, ignore_errors=True)
    leave = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ["fastconv", "tests"]:
        shutil.copytree(project / name, tree / name, ignore=leave)
    shutil.copy(project / "pyproject.toml", tree)
    shutil.copy(module, tree / "fastconv")
