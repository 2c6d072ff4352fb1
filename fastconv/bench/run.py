"""The main job: measure networks on real pictures, print the table, keep the results."""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import fastconv as fc
from fastconv.backend import set_num_threads
from fastconv.bench.interrupt import interruptible
from fastconv.bench.network import MODES, measure
from fastconv.bench.place import Place, place_of
from fastconv.bench.report import Report, print_report, start_report, write_report
from fastconv.bench.tables import progress_bar
from fastconv.errors import ArgumentError

DEFAULT_MODELS = ("lenet5", "alexnet", "vgg16", "resnet18", "resnet50")
COMPARED = 3  # sides whose answers are compared before timing: ours, the reference, float64
PEERS = ("torch",)
QUICK_MODELS = ("lenet5", "alexnet", "resnet18")
EMULATED_MODELS = ("lenet5",)  # the others would take hours


@dataclass
class Options:
    """What `python benchmarks/run.py` was asked for."""

    models: tuple[str, ...] = ()  # shell patterns; empty: DEFAULT_MODELS, EMULATED_MODELS
    batch: int = 4
    device: str = "cpu"
    dtype: str = "float32"
    mode: str = "both"
    repeats: int = 3
    threads: int | None = None
    peers: tuple[str, ...] = ()
    all: bool = False
    quick: bool = False
    folder: Path = Path("results")


def chosen_models(options: Options) -> list[str]:
    """Names that the options select; UnknownModelError for a pattern that matches none."""
    if options.all:
        return fc.models.list_models()
    if not options.models and options.device == "emulator":
        return list(EMULATED_MODELS)
    if not options.models:
        return list(QUICK_MODELS if options.quick else DEFAULT_MODELS)
    return names_of(options.models)


def names_of(patterns: tuple[str, ...]) -> list[str]:
    """Networks that match any of the shell patterns, once each; UnknownModelError for a pattern
    that matches none."""
    names = []
    for pattern in patterns:
        found = [n for n in fc.models.list_models() if fnmatchcase(n, pattern)]
        names += found or [fc.models.model_info(pattern).name]  # raises with the nearest names
    return list(dict.fromkeys(names))


def _check(options: Options) -> tuple[tuple[str, ...], Place]:
    """(modes, place); an error of fastconv for what cannot be measured."""
    for name, value in (("batch", options.batch), ("repeats", options.repeats)):
        if value < 1:
            raise ArgumentError(f"bench: {name} must be at least 1, got {value}")
    if options.mode not in (*MODES, "both"):
        raise ArgumentError(
            f"bench: mode must be inference, training or both, got {options.mode!r}"
        )
    if options.dtype not in ("float32", "float64"):
        raise ArgumentError(
            "bench: dtype must be float32 or float64 (half types are not yet there),"
            f" got {options.dtype!r}"
        )
    place = place_of(options.device)
    if options.dtype not in place.dtypes:
        raise ArgumentError(f"bench: the CUDA kernels take float32 only, got {options.dtype!r}")
    return (MODES if options.mode == "both" else (options.mode,)), place


def run(options: Options) -> tuple[Report, Path]:
    """Measure, print, write. A failing network is reported, Ctrl-C keeps what is there."""
    modes, place = _check(options)
    names = chosen_models(options)
    peers = [peer_named(p) for p in options.peers]
    with place.active():
        report = _measure_all(options, names, modes, peers, place)
    print_report(report)
    return report, write_report(report, options.folder)


def _measure_all(options, names, modes, peers, place):
    if options.threads is not None:
        set_num_threads(options.threads)
    for peer in peers:
        peer.set_up(place.device)
    batch = 2 if options.quick else options.batch
    repeats = 2 if options.quick else options.repeats
    asked = asdict(options) | {"folder": str(options.folder)}
    method = [*place.method(), *(peer.method(place.device) for peer in peers)]
    report = start_report(place.describe(), asked, method)
    runs = len(modes) * (2 + len(peers)) * (repeats + 1) + COMPARED
    with progress_bar() as progress, interruptible() as interrupt:
        task = progress.add_task("", total=len(names) * (runs + 1))
        for i, name in enumerate(names):

            def tick(step, name=name):
                interrupt.check()
                progress.update(task, advance=1, description=f"{name}: {step}")

            progress.update(task, completed=i * (runs + 1))
            work = (name, batch, options.dtype, modes, repeats, report.machine, peers, tick, place)
            try:
                for keeper in (place, *peers):
                    keeper.release()
                report.results.append(measure(*work))
            except KeyboardInterrupt:
                report.interrupted = True
                break
            except Exception as error:
                # whatever is wrong with one network, the others are measured; the run exits with 1
                report.failures[name] = f"{type(error).__name__}: {error}"
    return report


def peer_named(name: str):
    """The module of a peer."""
    if name not in PEERS:
        raise ArgumentError(f"bench: a peer must be one of {', '.join(PEERS)}, got {name!r}")
    return import_module(f"fastconv.bench.{name}_peer")
