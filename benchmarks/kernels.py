"""Every kernel but convolution and matrix product: GB/s, per cent of a copy, beside PyTorch.

python benchmarks/kernels.py [--only 'batch_norm*' ...] [--repeats 5] [--peers torch] [--out FILE]
"""

import argparse
import json
from dataclasses import asdict
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

from fastconv.bench.kernels import KERNELS, measure_kernels
from fastconv.bench.machine import describe


def line(r):
    shape = "x".join(map(str, r.shape)) if isinstance(r.shape, tuple) else r.shape
    text = f"{r.name:<24} {shape:<16} {1e3 * r.times['fastconv'].median:8.3f} "
    text += f"{r.nbytes / 1e6:8.1f} {r.bandwidth / 1e9:7.1f} {100 * r.of_copy:7.0f}"
    if r.torch_ratio is not None:
        text += f" {1e3 * r.times['torch'].median:9.3f} {r.torch_ratio:8.2f}"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of kernels' names")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", choices=["torch"])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()

    names = [n for n in KERNELS if any(fnmatch(n, pattern) for pattern in options.only)]
    peers = import_module("fastconv.bench.torch_kernels").PEERS if options.peers else None
    machine = describe()
    runs = measure_kernels(names, options.repeats, peers)
    head = f"{'kernel':<24} {'shape':<16} {'ms':>8} {'MB':>8} {'GB/s':>7} % copy"
    print(head + (f" {'torch ms':>9} {'times it':>8}" if peers else ""))
    results = []
    for r in runs:
        print(line(r), flush=True)
        results.append(r)
    print(
        f"{machine.processor}, {machine.threads} threads, {machine.isa}, copy "
        f"{machine.copy_bandwidth / 1e9:.1f} GB/s"
    )
    if options.out:
        kernels = [{**asdict(r), "of_copy": r.of_copy, "torch": r.torch_ratio} for r in results]
        text = json.dumps({"machine": machine.as_dict(), "kernels": kernels}, indent=1)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
