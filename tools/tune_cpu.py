"""Measure which algorithm is the fastest for the convolutions of networks, and keep where the cost
model errs.

python tools/tune_cpu.py [--models 'resnet50' ...] [--batch 1 8] [--repeats 5] [--dry-run]

Every algorithm that the cost model takes for at most 2.5 times as slow as the best one is measured
in turn with it, in rounds that nothing disturbed, and on weights that no cache holds, as in a
network, where other layers came in between. The table, fastconv/backend/tuned_<isa>.json,
keeps a convolution where another algorithm than the model's is faster by 5 % or more in nearly all
rounds. Rows of convolutions that this run does not measure stay.
"""

import argparse
import json
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.progress import track

import fastconv as fc
from fastconv.backend import NO_EPILOGUE, cpu, tuned
from fastconv.bench.layers import distinct_layers
from fastconv.bench.machine import Machine, describe, fma_run
from fastconv.bench.timing import Gauge, time_undisturbed
from fastconv.core import own_copy

MODELS = (
    "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "googlenet", "vgg16",
    "mobilenet_v2", "efficientnet_b0", "shufflenet_v2_x1_0",
)  # fmt: skip
# passes of inference (packed weights) and of training
PASSES = (("fwd", True), ("fwd", False), ("dgrad", False), ("wgrad", False))
DTYPE = np.dtype("float32")
CACHES = 64 << 20  # bytes of copies of the weights that take turns
WORTH_MEASURING = 2.5  # of the predicted cost of the best
GAIN = 1.05  # what it has to be faster than the model's choice
ROUNDS = 0.8  # ... in so many of the rounds


def contenders(problem, direction, packed):
    """The model's choice and what may be faster: im2col never is, it is implicit and more."""
    candidates = cpu.conv2d_candidates(problem, direction, DTYPE, "default", packed)
    fits = [c for c in candidates if not c.refused]
    names = [c.name for c in fits if c.cycles <= WORTH_MEASURING * fits[0].cycles]
    same_kernel = {"im2col"} | ({"implicit"} if "1x1" in names else set())
    return [n for n in names if n not in same_kernel]


def passes(problem, direction, packed, names):
    """Algorithm -> a function that runs it once."""
    rng = np.random.default_rng(0)
    shapes = (problem.x_shape, problem.w_shape, problem.y_shape)
    x, w, y = (own_copy(rng.standard_normal(s, np.float32), np.float32, "cpu") for s in shapes)
    return {name: one_pass(problem, direction, packed, name, x, w, y) for name in names}


def one_pass(problem, direction, packed, name, x, w, y):
    kept = None
    if packed and (elements := cpu.conv2d_packed_elements(problem, name, DTYPE)):
        kept = cpu.empty((elements,), DTYPE)
        cpu.conv2d_pack(w, problem, name, kept)
    nbytes = cpu.conv2d_workspace(problem, direction, name, DTYPE, kept is not None)
    scratch = cpu.empty((nbytes,), "uint8") if nbytes else None
    read = w if kept is None else kept  # by forward and the gradient by x
    copies = max(1, CACHES // max(1, read.nbytes))
    weights = cycle([own_copy(read, DTYPE, "cpu") for _ in range(copies)])

    def run():
        if direction == "wgrad":
            cpu.conv2d_wgrad(x, y, w, problem, name, scratch)
            return
        w_now = next(weights)
        if direction == "dgrad":
            cpu.conv2d_dgrad(y, w_now, x, problem, name, scratch)
        elif kept is None:
            cpu.conv2d_fwd(x, w_now, y, problem, name, scratch)
        else:
            cpu.conv2d_fwd(x, w, y, problem, name, scratch, NO_EPILOGUE, packed=w_now)

    return run


def verdict(timings, model):
    """Seconds of each algorithm if one is faster than the model's by GAIN, else None."""
    best = min(timings, key=lambda name: timings[name].median)
    rounds = zip(timings[model].rounds, timings[best].rounds, strict=True)
    clear = timings[model].median >= GAIN * timings[best].median
    clear = clear and np.mean([m > b for m, b in rounds]) >= ROUNDS
    return {name: t.median for name, t in timings.items()} if best != model and clear else None


def tune(problems, repeats):
    """Yields (key of the table, what to keep or None)."""
    gauge = Gauge(fma_run()[0])
    for problem, direction, packed in track(problems, description="layers", transient=True):
        names = contenders(problem, direction, packed)
        if len(names) < 2:
            continue
        timings, _ = time_undisturbed(passes(problem, direction, packed, names), repeats, gauge)
        yield (problem, direction, DTYPE, packed), verdict(timings, names[0])


def write(path: Path, machine: Machine, choices):
    """The table, whole or not at all."""
    rows = [
        {
            "problem": list(problem),
            "direction": direction,
            "dtype": dtype.name,
            "packed": packed,
            "seconds": {name: float(f"{s:.3g}") for name, s in seconds.items()},
        }
        for (problem, direction, dtype, packed), seconds in choices.items()
    ]
    head = json.dumps(machine.as_dict(), indent=1).replace("\n", "\n ")
    lines = ",\n  ".join(json.dumps(row) for row in sorted(rows, key=json.dumps))
    partial = path.with_name(path.name + ".partial")
    partial.write_text(f'{{\n "machine": {head},\n "choices": [\n  {lines}\n ]\n}}\n')
    partial.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry-run", action="store_true", help="print, but write nothing")
    options = parser.parse_args()
    names = [n for pattern in options.models for n in fc.models.list_models(pattern)]
    if not names:
        parser.error(f"no network is called {' or '.join(options.models)}")
    path = tuned.table_path(cpu.isa())
    choices = {key: m.seconds for key, m in tuned.load(path).choices.items()}
    problems = [
        (problem, direction, packed)
        for batch in options.batch
        for problem in distinct_layers(names, batch)
        for direction, packed in PASSES
        if packed or batch > 1  # nobody trains on single images
    ]
    changed = 0
    for key, seconds in tune(problems, options.repeats):
        changed += (choices.pop(key, None) is not None) or seconds is not None
        if seconds is not None:
            choices[key] = seconds
            problem, direction, _, packed = key
            told = ", ".join(f"{n} {1e3 * s:.3f} ms" for n, s in seconds.items())
            print(f"{direction}{' packed' * packed} {problem}: {told}")
    print(f"{len(problems)} passes looked at, {len(choices)} rows in the table")
    if changed and not options.dry_run:
        write(path, describe(), choices)
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
