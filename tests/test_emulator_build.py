"""The emulator's module where the package came without it: what is compiled, kept and said. The
sources are a small module with the same target; tools/check_install.py compiles the real ones."""

import importlib.util
import subprocess
import sys

import pytest

from fastconv.backend import emulator_build
from fastconv.errors import EmulatorError

CMAKE = """
cmake_minimum_required(VERSION 3.24...4.0)
project(small LANGUAGES C)
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
python_add_library(_emulator MODULE WITH_SOABI module.c)
"""
MODULE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_emulator", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__emulator(void) { return PyModule_Create(&definition); }
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """An installed package with sources, without the module."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(CMAKE)
    (folder / "module.c").write_text(MODULE)
    monkeypatch.setattr(emulator_build, "SOURCES", folder)
    monkeypatch.setattr(emulator_build, "NAME", "fastconv._not_in_the_package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    emulator_build.extension.cache_clear()
    yield folder
    emulator_build.extension.cache_clear()
    sys.modules.pop("fastconv._not_in_the_package", None)


def kept_files(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache" / "fastconv").glob("*/*"))


needs_cmake = pytest.mark.skipif(emulator_build._tool("cmake") is None, reason="CMake is not here")


@needs_cmake
def test_compiled_once_and_kept(sources, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(emulator_build, "NAME", "_emulator")
    assert emulator_build.built_library() is None
    module = emulator_build.extension()
    assert module.__file__.startswith(str(tmp_path / "cache"))
    assert "compiling the emulator" in capsys.readouterr().err
    assert kept_files(tmp_path) == sorted([emulator_build.LIBRARY, "lock"])
    sys.modules.pop("_emulator")
    emulator_build.extension.cache_clear()
    monkeypatch.setattr(emulator_build, "_compile", None)  # calling it would fail
    assert emulator_build.extension().__file__ == module.__file__
    assert emulator_build.built_library() is not None
    sys.modules.pop("_emulator")


@needs_cmake
def test_changed_sources_are_another_module(sources, monkeypatch):
    emulator_build._build()
    before = emulator_build.built_library()
    assert before is not None
    (sources / "module.c").write_text(MODULE + "\n")
    assert emulator_build.built_library() is None
    assert emulator_build._kept() != before


@needs_cmake
def test_a_failed_build_shows_its_reason_and_leaves_nothing(sources, tmp_path):
    (sources / "module.c").write_text("#error the reason\n")
    with pytest.raises(EmulatorError, match=r"could not be compiled:(.|\n)*the reason"):
        emulator_build._build()
    assert emulator_build.built_library() is None
    assert kept_files(tmp_path) == ["lock"]


def test_two_processes_compile_it_once(sources, tmp_path):
    kept = emulator_build._kept()
    code = """
import sys, time
from pathlib import Path
from fastconv.backend import emulator_build
emulator_build.NAME, emulator_build.SOURCES = "fastconv._not_in_the_package", Path(sys.argv[1])
emulator_build._tool = lambda name: name
def compile(cmake, kept):
    print("compiled")
    time.sleep(1)
    kept.write_text("")
emulator_build._compile = compile
emulator_build._build()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, sources], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [p.communicate(timeout=60)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert sorted(printed) == ["", "compiled\n"]
    assert kept.exists()


def test_missing_tools_are_told_with_the_remedy(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(emulator_build, "_tool", lambda name: None)
    with pytest.raises(EmulatorError, match=r"pip install 'fastconv\[emulator\]'"):
        emulator_build.extension()
    monkeypatch.setattr(emulator_build, "_tool", lambda name: name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmulatorError, match=r"pybind11 .* pip install 'fastconv\[emulator\]'"):
        emulator_build.extension()
    assert kept_files(tmp_path) == []


def test_a_package_without_sources_says_so(sources, monkeypatch):
    monkeypatch.setattr(emulator_build, "SOURCES", sources / "none")
    assert emulator_build.built_library() is None
    with pytest.raises(EmulatorError, match="its sources are not here"):
        emulator_build.extension()
