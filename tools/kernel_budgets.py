"""What nvcc makes of every CUDA kernel: registers, stack, spills, and with --sass its instructions.

python tools/kernel_budgets.py [FILE ...] [--write] [--sass 'LDG.E.128*' ...]

The table of registers that kernels may use is tests/data/kernel_budgets.json; --write makes it
anew. --sass counts opcodes with NVIDIA's cuobjdump and nvdisasm (pip install -e '.[sass]'), which
need no GPU: whether loads are 16 bytes wide, whether cp.async became LDGSTS.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
TABLE = ROOT / "tests" / "data" / "kernel_budgets.json"
# a T4, the portable fast path, a Hopper: csrc/cuda compiles for more, which differ little
ARCHS = (75, 80, 90)
FLAGS = ["-std=c++17", "--expt-relaxed-constexpr", f"-I{CSRC}"]  # as csrc/cuda/CMakeLists.txt


class Usage(NamedTuple):
    """Of one kernel on one architecture; all but registers in bytes."""

    registers: int
    stack: int
    spills: int
    shared: int  # static: dynamic shared memory is the launch's


def nvcc():
    """Its path, or None."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    return shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")


def release():
    """Such as "13.0": another compiler allocates other registers."""
    text = subprocess.run([nvcc(), "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"release (\S+),", text)[1]


def sources():
    cuda = CSRC / "cuda"
    return sorted([*cuda.glob("*/*.cu"), *cuda.glob("ladder/*/*.cu")])


def compile_objects(source, folder, archs=ARCHS):
    """The object of these architectures, and what ptxas said."""
    target = Path(folder) / f"{source.parent.name}-{source.stem}.o"
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs]
    command = [nvcc(), *codes, *FLAGS, "-Xptxas", "-v", "-c", source, "-o", target]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{source}: nvcc failed\n{done.stderr}")
    return target, done.stdout + done.stderr


def short_names(mangled):
    """{mangled: readable}, without return type, parameters and our own namespaces."""
    mangled = sorted(mangled)
    done = subprocess.run(
        ["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True
    )
    names = {}
    for symbol, name in zip(mangled, done.stdout.splitlines(), strict=True):
        name = name.replace("(anonymous namespace)::", "").replace("fc::cuda::", "")
        # the parameters are the last brackets
        depth, at = 0, len(name)
        while at and (depth or at == len(name)):
            at -= 1
            depth += {")": 1, "(": -1}.get(name[at], 0)
        names[symbol] = name[:at].removeprefix("void ")
    if len(set(names.values())) < len(names):
        raise SystemExit(f"two kernels of one name: {sorted(names.values())}")
    return names


def usage(log):
    """{mangled kernel: {architecture: Usage}} of what ptxas said."""
    found = {}
    symbol = arch = None
    stack = spills = 0
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", line):
            symbol, arch, stack, spills = match[1], int(match[2]), 0, 0
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)", line):
            # the kernel's own, and those of functions that were not inlined
            stack = max(stack, int(match[1]))
            spills += int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            used = Usage(int(match[1]), stack, spills, int(shared[1]) if shared else 0)
            found.setdefault(symbol, {})[arch] = used
    return found


def measure(source, folder, archs):
    """{kernel: {architecture: Usage}} of one file."""
    found = usage(compile_objects(source, folder, archs)[1])
    names = short_names(found)
    return {names[symbol]: found[symbol] for symbol in sorted(found, key=names.get)}


def measure_all(files=None, archs=ARCHS):
    """{file below csrc/cuda: {kernel: {architecture: Usage}}}; a compiler for every core."""
    files = files or sources()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = pool.map(lambda source: measure(source, folder, archs), files)
        return {
            str(source.relative_to(CSRC / "cuda")): found
            for source, found in zip(files, measured, strict=True)
        }


def table_of(measured):
    """What TABLE holds: per kernel the registers on each of ARCHS."""
    kernels = {
        file: {name: [by[a].registers for a in ARCHS] for name, by in found.items()}
        for file, found in measured.items()
    }
    return {"nvcc": release(), "archs": list(ARCHS), "registers": kernels}


def write_table(table):
    text = json.dumps(table, indent=1)
    # the registers of a kernel on its line
    TABLE.write_text(
        re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"
    )


def findings(measured, table):
    """What is wrong, as text. Registers are compared only where the table's nvcc was used."""
    wrong = []
    same_nvcc = table["nvcc"] == release()
    for file, kernels in measured.items():
        allowed = table["registers"].get(file, {})
        for name, by_arch in kernels.items():
            place = f"{file}: {name}"
            for arch, used in by_arch.items():
                for what in ("stack", "spills", "shared"):
                    if getattr(used, what):
                        wrong.append(f"{place}: sm_{arch}: {getattr(used, what)} bytes of {what}")
            if name not in allowed:
                wrong.append(f"{place}: not in {TABLE.name} (tools/kernel_budgets.py --write)")
            elif same_nvcc:
                for arch, most in zip(table["archs"], allowed[name]):
                    if arch in by_arch and by_arch[arch].registers > most:
                        came = by_arch[arch].registers
                        wrong.append(f"{place}: sm_{arch}: {came} registers, allowed {most}")
        gone = sorted(set(allowed) - set(kernels))
        wrong += [f"{file}: {name}: in {TABLE.name}, but there is no such kernel" for name in gone]
    return wrong


# ---- SASS


def sass_tools():
    """The folder with cuobjdump and nvdisasm, or None."""
    found = find_spec("nvidia")
    for base in found.submodule_search_locations if found else []:
        for folder in sorted(Path(base).glob("cu*/bin")):
            if (folder / "cuobjdump").exists() and (folder / "nvdisasm").exists():
                return folder
    path = shutil.which("cuobjdump")
    return Path(path).parent if path and shutil.which("nvdisasm") else None


def disassemble(target):
    """{mangled kernel: {architecture: Counter of opcodes}} of an object."""
    folder = sass_tools()
    if folder is None:
        raise SystemExit("no cuobjdump and nvdisasm: pip install -e '.[sass]'")
    # cuobjdump looks for nvdisasm on the path
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [folder / "cuobjdump", "-sass", target]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found, arch, opcodes = {}, None, Counter()
    for line in done.stdout.splitlines():
        if match := re.search(r"code for sm_(\d+)", line):
            arch = int(match[1])
        elif match := re.search(r"Function : (\w+)", line):
            opcodes = found.setdefault(match[1], {}).setdefault(arch, Counter())
        elif match := re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", line):
            opcodes[match[1]] += 1
    return found


def sass(source):
    """{kernel: {architecture: Counter of opcodes}} of one file."""
    with tempfile.TemporaryDirectory() as folder:
        found = disassemble(compile_objects(Path(source), folder)[0])
    names = short_names(found)
    return {names[symbol]: found[symbol] for symbol in sorted(found, key=names.get)}


def count(opcodes, *patterns):
    """How many instructions have an opcode like one of the patterns: "LDG.E.128*"."""
    return sum(n for name, n in opcodes.items() if any(fnmatch(name, p) for p in patterns))


# ---- command line


def print_usage(measured, archs):
    print("registers" + "".join(f"{f'sm_{a}':>7}" for a in archs))
    for file, kernels in measured.items():
        print(file)
        for name, by_arch in kernels.items():
            registers = "".join(f"{by_arch[a].registers:7}" for a in archs)
            print(f"         {registers}  {name}")


def print_sass(files, patterns):
    for source in files:
        print(source)
        for name, by_arch in sass(source).items():
            print(f"  {name}")
            for arch, opcodes in by_arch.items():
                seen = {o: n for o, n in sorted(opcodes.items()) if count({o: n}, *patterns)}
                print(
                    f"    sm_{arch}: " + (", ".join(f"{o} {n}" for o, n in seen.items()) or "none")
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="default: all of csrc/cuda")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    parser.add_argument("--sass", nargs="+", metavar="OPCODE", help="count these instead: 'LDG*'")
    parser.add_argument("--archs", nargs="+", type=int, choices=ARCHS, default=ARCHS)
    options = parser.parse_args()
    if options.write and set(options.archs) != set(ARCHS):
        raise SystemExit(f"--write wants all of {ARCHS}")
    if nvcc() is None:
        raise SystemExit("no nvcc on the PATH or in CUDA_HOME")
    files = [file.resolve() for file in options.files] or sources()
    if options.sass:
        print_sass(files, options.sass)
        return 0
    measured = measure_all(files, options.archs)
    print_usage(measured, options.archs)
    if options.write:
        table = table_of(measured)
        if options.files:
            known = json.loads(TABLE.read_text())["registers"]
            table["registers"] = dict(sorted({**known, **table["registers"]}.items()))
        write_table(table)
    wrong = findings(measured, json.loads(TABLE.read_text()))
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
