"""The project itself: one version, floors that hold, a light import, make targets that exist."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAVY = set(PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"])
SOURCES = sorted((ROOT / "fastconv").rglob("*.py"))


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def version() -> str:
    (found,) = re.findall(
        r'^__version__ = "(.+)"$', (ROOT / "fastconv/version.py").read_text(), re.M
    )
    return found


def test_version_is_written_in_one_place():
    files = [*SOURCES, ROOT / "pyproject.toml", ROOT / "CMakeLists.txt", ROOT / "README.md"]
    files += [p for p in (ROOT / "csrc").rglob("*") if p.is_file()]
    places = [str(p.relative_to(ROOT)) for p in files if f'"{version()}"' in p.read_text()]
    assert places == ["fastconv/version.py"]


def test_version_reaches_the_user():
    result = python("import fastconv; print(fastconv.__version__)")
    assert result.stdout.strip() == version(), result.stderr


def test_import_loads_numpy_and_no_heavy_package():
    result = python("import sys, json, fastconv; print(json.dumps(sorted(sys.modules)))")
    assert result.returncode == 0, result.stderr
    loaded = set(json.loads(result.stdout))
    assert "numpy" in loaded
    assert not loaded & (HEAVY | {"fastconv.cli", "fastconv.bench"})


def imports_inside_functions(source: str) -> list[tuple[int, str]]:
    """Line and package of each import below a def."""
    found = set()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found |= {(node.lineno, alias.name.split(".")[0]) for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add((node.lineno, (node.module or ".").split(".")[0]))
    return sorted(found)


def test_the_search_for_inner_imports_finds_one():
    source = "import a\ndef f():\n    if a:\n        from b.c import d\n    import e.f\n"
    assert imports_inside_functions(source) == [(4, "b"), (5, "e")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_heavy_packages_are_imported_inside_functions(path):
    inner = [(n, name) for n, name in imports_inside_functions(path.read_text())]
    assert [entry for entry in inner if entry[1] not in HEAVY] == []


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    # no cache: it knows a file by the second of its change. -S: the editable installation's import
    # hook would lead to the repository whatever the folder
    code = "from importlinter.cli import lint_imports as l; raise SystemExit(l(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{sysconfig.get_path('platlib')}"},
        capture_output=True,
        text=True,
    )


def test_floors_hold():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_broken_floor_is_noticed(tmp_path):
    (tmp_path / "fastconv").mkdir()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for name in ["__init__", "core", "ops"]:
        (tmp_path / "fastconv" / f"{name}.py").touch()
    assert lint_imports(tmp_path).returncode == 0
    (tmp_path / "fastconv" / "core.py").write_text("import fastconv.ops\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "fastconv.core -> fastconv.ops" in result.stdout


def test_every_package_has_a_floor():
    floors = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    named = set(re.findall(r"fastconv\.(\w+)", " ".join(floors)))
    parts = {p.stem for p in (ROOT / "fastconv").glob("*.py")} - {"__init__"}
    parts |= {p.parent.name for p in (ROOT / "fastconv").glob("*/__init__.py")}
    assert parts - named == set()


@pytest.mark.parametrize(
    "target", ["bench", "test", "test-peers", "full", "lint", "docs", "clean", "help"]
)
def test_make_target_exists(target):
    make = shutil.which("make")
    assert make, "make is not installed"
    result = subprocess.run(
        [make, "--dry-run", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_console_script_leads_to_a_function():
    module, _, name = PYPROJECT["project"]["scripts"]["fastconv"].partition(":")
    result = python(f"import {module} as m; assert callable(m.{name})")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("extra", ["cuda12", "cuda13", "hub", "plot", "test", "peers", "all"])
def test_extra_exists(extra):
    assert PYPROJECT["project"]["optional-dependencies"][extra]


def test_setup_installs_torchvision_and_timm_alone():
    """Pinned, and without what they ask for: PyPI's would bring CUDA along."""
    probe = (
        "import sys; sys.path.insert(0, 'tools'); import environment;"
        "complete, bare = environment.requirements(['test', 'peers']);"
        "print(*[r.partition('==')[0] for r in bare if '==' in r]);"
        "print(any('torchvision' in r or 'timm' in r for r in complete))"
    )
    assert python(probe).stdout.split() == ["torchvision", "timm", "False"]


def test_core_dependencies_are_the_light_ones():
    names = {re.match(r"[\w-]+", d)[0] for d in PYPROJECT["project"]["dependencies"]}
    assert names == {"numpy", "ml_dtypes", "safetensors", "pillow", "rich", "typer"}


def test_setup_takes_a_broken_environment_for_broken(tmp_path):
    probe = (
        "import sys; sys.path.insert(0, 'tools'); import environment; from pathlib import Path;"
        "print(environment.healthy(Path(sys.argv[1])), environment.healthy(Path(sys.argv[2])))"
    )
    # a copy without its interpreter, and the bare folder of a moved one: both must be made again
    moved = tmp_path / "moved"
    (moved / "bin").mkdir(parents=True)
    (moved / "bin" / "python").symlink_to(sys.executable)
    (moved / "bin" / "activate").write_text("VIRTUAL_ENV=/somewhere/else\n")
    result = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path / "absent"), str(moved)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["False", "False"], result.stderr
