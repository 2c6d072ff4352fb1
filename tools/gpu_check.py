"""Everything that only a GPU can tell, in one command: python3 tools/gpu_check.py [--stage NAME]

    build      fastconv._cpu and fastconv._cuda in place, by cmake and ninja, for the GPU here
    reference  the reference over CuPy against NumPy
    kernels    every CUDA kernel against the reference
    sanitize   compute-sanitizer: memcheck, racecheck, initcheck, synccheck
    layers     convolutions of five networks: ours, the CuPy reference, PyTorch
    nets       whole networks, inference and training, beside PyTorch

Each stage has a time limit and writes OUT/<stage>.json as it goes. The same command again goes on
where it stopped; what failed is repeated by --again alone, results of other sources are dropped.
A stage runs in a process of its own; where an item breaks the CUDA context or the process, another
goes on after it. Needed: fastconv's dependencies, CuPy, pybind11, cmake, ninja, nvcc; torch for
layers and nets. Exit status 1 if anything failed.

--reduced --backend emulator: tiny versions of reference, kernels and layers, without a GPU.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "h200"
STAGES = ("build", "reference", "kernels", "sanitize", "layers", "nets")
REDUCED = ("reference", "kernels", "layers")
LIMIT = 420.0  # seconds of a stage
GRACE = 40.0  # seconds for the item that runs when the limit is reached
LATE, BROKEN = 3, 4  # exit statuses of a stage's process
RESTARTS = 20


def use_this_tree():
    """Makes fastconv, tests and tools those of this folder: a site may have packages `tests` or
    `tools`, which would hide folders without __init__.py."""
    sys.path.insert(0, str(ROOT))
    for name in ("tests", "tools"):
        if not hasattr(sys.modules.get(name), "__path__"):
            module = types.ModuleType(name)
            module.__path__ = [str(ROOT / name)]
            sys.modules[name] = module


use_this_tree()
from tools.gpu.store import Store, run_items  # noqa: E402 - needs the line above


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", nargs="+", choices=STAGES, help="default: all, in this order")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of each stage")
    parser.add_argument("--out", type=Path, help="default: $OUT or benchmarks/results/h200")
    parser.add_argument(
        "--resume", type=Path, default=KEPT, help="where results are that OUT lacks (%(default)s)"
    )
    parser.add_argument("--again", action="store_true", help="repeat what failed")
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--backend", choices=("cuda", "emulator"), default="cuda")
    parser.add_argument("--worker", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--suite", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.backend == "emulator" and not chosen.reduced:
        parser.error("--backend emulator needs --reduced: whole stages would take days")
    if chosen.out is None:
        chosen.out = Path(os.environ.get("OUT") or KEPT)
    return chosen


# ---- in the process of one stage


def open_device(backend):
    from tools.gpu.device import Emulated, Gpu

    return Emulated() if backend == "emulator" else Gpu()


def stage_items(stage, options, device):
    """(name, function) pairs; a module is imported where it is run, after the build."""
    if stage == "build":
        from tools.gpu import build

        return build.items(options.out, options.limit)
    if stage == "sanitize":
        from tools.gpu import sanitize

        return sanitize.items(options.limit)
    if stage in ("reference", "kernels"):
        from tools.gpu import correctness

        make = {"reference": correctness.reference_items, "kernels": correctness.kernel_items}
        return make[stage](device, options.reduced)
    from tools.gpu import layers, nets

    return (layers if stage == "layers" else nets).items(device, options.reduced)


def work(options) -> int:
    """One stage in this process, as far as the time goes."""
    stage = options.worker
    store = Store(options.out, stage)
    store.record_crash("the run ended in this item")
    healthy = lambda: True  # noqa: E731 - no GPU is used in this process
    try:
        device = None
        if stage not in ("build", "sanitize"):
            device = open_device(options.backend)
            store.content["machine"] = device.machine()
            healthy = device.healthy
        items = stage_items(stage, options, device)
    except Exception as error:  # the other stages shall run
        store.record("start", f"{type(error).__name__}: {error}")
        print(f"FAILED {stage}: {type(error).__name__}: {error}", flush=True)
        return 1
    ended = run_items(store, items, options.limit, healthy)
    return {"finished": 0, "late": LATE, "broken": BROKEN}[ended]


# ---- the process that starts them


def run_stage(stage, options) -> Store:
    here, kept = (folder / f"{stage}.json" for folder in (options.out, options.resume))
    if kept.exists() and not here.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept, here)
    store = Store(options.out, stage, options.again)
    if stage == "build" or "start" in store.items:
        store.content |= {"items": {}, "finished": False}  # ninja knows what is finished
    store.write()
    if store.content["finished"]:
        return store
    end = time.monotonic() + options.limit
    for _ in range(RESTARTS):
        left = max(1.0, end - time.monotonic())
        command = [
            *(sys.executable, __file__, "--worker", stage, "--limit", f"{left:.0f}"),
            *("--out", str(options.out.resolve()), "--backend", options.backend),
            *(["--reduced"] if options.reduced else []),
        ]
        try:
            status = subprocess.run(command, cwd=ROOT, timeout=left + GRACE).returncode
            why = f"the process ended in this item, status {status}"
        except subprocess.TimeoutExpired:
            status, why = LATE, f"not done {GRACE:.0f} s after the limit: ended"
        before = len(store.items)
        store = Store(options.out, stage)
        store.record_crash(why)
        died = status < 0 or status > BROKEN
        if not (died or status == BROKEN) or time.monotonic() > end:
            break
        if len(store.items) == before:
            store.record("start", f"the process ended before any item, status {status}")
            break
    return store


def summary(stage, store) -> str:
    """A few lines for the screen."""
    items, failed = store.items, store.failed(store.items)
    state = "finished" if store.content["finished"] else "NOT FINISHED: run the same command again"
    seconds = sum(item.get("seconds", 0) for item in items.values())
    lines = [f"== {stage}: {len(items)} items, {len(failed)} failed, {seconds:.0f} s, {state}"]
    if stage in ("layers", "nets") and items:
        from tools.gpu import layers, nets

        lines.append((layers if stage == "layers" else nets).table(store.content))
    for name in failed[:20]:
        lines.append(f"   FAILED {name}: {items[name]['error'].splitlines()[0][:200]}")
    if len(failed) > 20:
        lines.append(f"   ... and {len(failed) - 20} more: {store.path}")
    return "\n".join(lines)


def main(arguments=None) -> int:
    options = parse(arguments)
    if options.suite:
        from tools.gpu import sanitize

        sanitize.run_suite(open_device(options.backend), options.suite)
        return 0
    if options.worker:
        return work(options)
    stages = options.stage or (REDUCED if options.backend == "emulator" else STAGES)
    stores = {}
    for stage in stages:
        print(f"-- {stage}", flush=True)
        stores[stage] = run_stage(stage, options)
        print(summary(stage, stores[stage]), flush=True)
    failed = {stage: len(s.failed(s.items)) for stage, s in stores.items()}
    print("failed: " + ", ".join(f"{stage} {count}" for stage, count in failed.items()))
    return int(any(failed.values()))


if __name__ == "__main__":
    sys.exit(main())
