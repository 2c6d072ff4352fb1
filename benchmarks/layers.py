"""Every distinct convolution of networks: GFLOP/s, per cent of the FMA peak, beside PyTorch.

python benchmarks/layers.py [--models 'resnet50' ...] [--batch 8] [--repeats 5] [--peers torch]

"% peak": of multiply-adds on registers, measured in the same rounds. "% bound": of that peak or of
the copy bandwidth for x, w and y once, whichever takes longer.
"""

import argparse
import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.progress import track

import fastconv as fc
from fastconv.bench.layer_report import report, shape_of
from fastconv.bench.layers import (
    DIRECTIONS,
    distinct_layers,
    measure_layers,
    result_from,
)
from fastconv.bench.machine import Machine, describe


def line(r, bandwidth):
    ours = r.rate("fastconv")
    text = (
        f"{shape_of(r.problem):<34} {r.direction:<6} {r.algorithm:<17} {ours / 1e9:7.0f} "
        f"{100 * ours / r.peak:6.1f} {100 * r.bound(bandwidth) / r.times['fastconv'].median:7.1f}"
    )
    if "torch" in r.times:
        ratio = r.times["torch"].median / r.times["fastconv"].median
        text += f" {r.rate('torch') / 1e9:9.0f} {ratio:8.2f}"
    return text


def save(path, machine, results):
    """The JSON and its report, whole or not at all."""
    kept = {"machine": machine.as_dict(), "layers": [asdict(r) for r in results]}
    for file, text in (
        (path, json.dumps(kept, indent=1)),
        (path.with_suffix(".md"), report(results, machine)),
    ):
        partial = file.with_name(file.name + ".partial")
        partial.write_text(text)
        partial.replace(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["vgg16", "resnet18", "resnet50"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--directions", nargs="+", default=DIRECTIONS, choices=DIRECTIONS)
    parser.add_argument("--peers", choices=["torch"])
    parser.add_argument("--out", type=Path, help="JSON file to write, and a .md beside it")
    parser.add_argument(
        "--report", type=Path, nargs="+", help="only write the .md of such JSON files, joined"
    )
    options = parser.parse_args()
    if options.report:
        kept = [json.loads(path.read_text()) for path in options.report]
        results = [result_from(layer) for part in kept for layer in part["layers"]]
        machine = Machine(**kept[0]["machine"])
        options.report[0].with_suffix(".md").write_text(report(results, machine))
        return

    names = [n for pattern in options.models for n in fc.models.list_models(pattern)]
    layers = distinct_layers(dict.fromkeys(names), options.batch)
    peer = import_module("fastconv.bench.torch_peer").convolution if options.peers else None
    machine = describe()
    results = []
    for result in track(
        measure_layers(layers, options.repeats, peer, options.directions),
        total=len(layers) * len(options.directions),
        description="layers",
        transient=True,
    ):
        results.append(result)
        if options.out:  # each time: a run that is cut short keeps what it has
            save(options.out, machine, results)
    head = f"{'x NxHxWxC, window, groups -> K':<34} {'pass':<6} {'algorithm':<17}"
    head += " GFLOP/s % peak % bound"
    print(head + ("     torch times it" if peer else ""))
    for r in results:
        print(line(r, machine.copy_bandwidth))
    print(
        f"{machine.processor}, {machine.threads} threads, peak {machine.fma_peak / 1e9:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
