"""What the kernel objects of the build tree may hold, read with `nm`.

The linker keeps one copy of a weak symbol: an AVX-512 copy would kill an older machine. A static
initialiser runs at import, whatever the machine.
"""

import os
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "csrc" / "cpu" / "kernels"
ISAS = {"x86": {"baseline", "avx2", "avx512"}, "aarch64": {"baseline"}}
MACHINES = {62: "x86", 183: "aarch64"}  # e_machine of ELF
CROSS = {"aarch64": "aarch64-linux-gnu-"}


def machine_of(path):
    with path.open("rb") as file:
        header = file.read(20)
    assert header[:4] == b"\x7fELF", path
    return MACHINES[int.from_bytes(header[18:20], "little")]


def symbols(path):
    """(kind, name) of everything that the object defines; kinds in upper case are global."""
    machine = machine_of(path)
    native = machine_of(Path("/proc/self/exe")) == machine
    nm = "nm" if native else CROSS[machine] + "nm"
    command = [nm, "-C", "--defined-only", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line.split(maxsplit=2)[1:]) for line in done.stdout.splitlines()]


def findings(isa, defined):
    """What is wrong with one object, as text."""
    wrong = []
    for kind, name in defined:
        if name.startswith(("_GLOBAL__sub_I", "__static_initialization")):
            wrong.append(f"runs at import: {name}")
        elif kind in "WVu":
            wrong.append(f"weak: {name}")
        elif kind.isupper() and not name.startswith(f"fc::{isa}::"):
            wrong.append(f"outside fc::{isa}: {name}")
    return wrong


def trees():
    """{build tree: {isa: {kernel file: object}}}; not those that sanitizers add calls to."""
    found = defaultdict(lambda: defaultdict(dict))
    for path in sorted(ROOT.glob("build/**/fc_kernels_*.dir/kernels/*.cpp.o")):
        if any(part.startswith("sanitize-") for part in path.parts):
            continue
        folder = path.parents[1]
        isa = folder.name.removeprefix("fc_kernels_").removesuffix(".dir")
        found[folder.parent][isa][path.name.removesuffix(".o")] = path
    return found


def test_every_kernel_object_exports_its_namespace_only_and_nothing_weak():
    found = trees()
    if not found:
        assert not (os.environ.get("CI") and KERNELS.is_dir()), "CI has no build tree"
        pytest.skip("no build tree: build/ holds none of the kernel objects")
    sources = {path.name for path in KERNELS.glob("*.cpp")}
    complete = 0
    for by_isa in found.values():
        for isa, objects in by_isa.items():
            for name, path in objects.items():
                assert findings(isa, symbols(path)) == [], f"{isa}/{name}"
        machine = machine_of(path)
        complete += set(by_isa) == ISAS[machine] and all(sources <= set(o) for o in by_isa.values())
    assert complete, "no build tree holds every kernel of every instruction set"


WRONG = {
    "runs at import": "int draw(); int fresh = draw();",
    "weak": "inline int twice(int x) { return 2 * x; } int (*pointer)(int) = twice;",
    "outside fc::avx2": "namespace fc { int lost() { return 1; } }",
}


@pytest.mark.parametrize("reason", WRONG)
def test_an_object_that_breaks_the_rule_is_found(reason, tmp_path):
    source, made = tmp_path / "wrong.cpp", tmp_path / "wrong.o"
    source.write_text(WRONG[reason])
    compiler = os.environ.get("CXX") or "c++"
    subprocess.run([compiler, "-O2", "-c", source, "-o", made], check=True)
    assert any(line.startswith(reason) for line in findings("avx2", symbols(made)))
