"""The command line: fastconv {models, summary, bench, run-kernel, doctor}, or python -m fastconv.

Exit codes: 0 done, 1 something measured or checked is wrong, 2 the request itself is wrong (one
line says why), 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import fastconv as fc
from fastconv import bench as benchmark
from fastconv import doctor as check
from fastconv.bench import run_kernel as ladder
from fastconv.errors import EmulatorError, FastconvError

app = typer.Typer(
    help="Convolutional networks: what they are, what they cost, how fast they run here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="shell pattern, for example 'resnet*'")] = "*",
) -> None:
    """List the networks with their published numbers."""
    names = fc.models.list_models(pattern)
    if not names:
        fc.models.model_info(pattern)  # raises with the nearest names
    if len(names) == 1:
        _describe(fc.models.model_info(names[0]))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("network", no_wrap=True)
    for title in ("input", "parameters", "MACs", "GFLOPs"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in names:
        i = fc.models.model_info(name)
        shape = "x".join(map(str, i.input_shape))
        table.add_row(name, shape, f"{i.params:,}", f"{i.macs:,}", f"{2e-9 * i.macs:.3f}")
    Console().print(table)


def _describe(info):
    """Everything that is known of one network."""
    a = info.architecture
    rows = {
        "network": f"{info.name} ({info.source})",
        "paper": f"{a.authors} {a.year}: {a.title} ({a.link})",
        "introduced": a.introduced,
        "descends from": ", ".join(a.descends_from) or "nothing here",
        "input": " x ".join(map(str, info.input_shape)) + " (H x W x C)",
        "parameters": f"{info.params:,}",
        "MACs": f"{info.macs:,}",
        "FLOPs": f"{2 * info.macs:,}",
        "options": ", ".join(info.options),
    }
    for i, known in enumerate(info.accuracy):
        top5 = "" if known.top5 is None else f", top-5 {known.top5} %"
        rows[f"accuracy {i + 1}"] = f"top-1 {known.top1} %{top5}: {known.what} ({known.source})"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for title, text in rows.items():
        table.add_row(title, text)
    Console().print(table)


@app.command()
def summary(
    model: Annotated[str, typer.Argument(help="name of a network, see `fastconv models`")],
    batch: Annotated[int, typer.Option(min=1, help="images per batch")] = 1,
    training: Annotated[bool, typer.Option(help="peak memory of a training step")] = False,
) -> None:
    """Layers, shapes, parameters, MACs, FLOPs and memory of a network; nothing is computed."""
    info = fc.models.model_info(model)
    with fc.Trace(meta=True):
        net = fc.models.create_model(model)
    print(fc.analysis.summary(net, (batch, *info.input_shape), training=training))


@app.command()
def bench(
    models: Annotated[
        list[str] | None, typer.Option(help="shell patterns; may be given several times")
    ] = None,
    batch: Annotated[int, typer.Option(help="images per batch")] = benchmark.Options.batch,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or cuda:N; emulator: that it works, not how fast")
    ] = benchmark.Options.device,
    dtype: Annotated[str, typer.Option(help="float32 or float64")] = benchmark.Options.dtype,
    mode: Annotated[str, typer.Option(help="inference, training or both")] = benchmark.Options.mode,
    repeats: Annotated[int, typer.Option(help="measured rounds")] = benchmark.Options.repeats,
    threads: Annotated[
        int | None, typer.Option(help="threads of fastconv's kernels")
    ] = benchmark.Options.threads,
    peers: Annotated[
        list[str] | None, typer.Option(help="also measure: torch (eager, channels_last)")
    ] = None,
    all_models: Annotated[bool, typer.Option("--all", help="every network there is")] = False,
    quick: Annotated[bool, typer.Option(help="three networks, batch 2, two rounds")] = False,
    folder: Annotated[Path, typer.Option(help="where results go")] = benchmark.Options.folder,
) -> None:
    """Measure networks on real pictures: FLOPs, memory and time against the reference, which is
    NumPy on the CPU and CuPy on a GPU."""
    report, target = benchmark.run(
        benchmark.Options(
            models=tuple(models or ()),
            batch=batch,
            device=device,
            dtype=dtype,
            mode=mode,
            repeats=repeats,
            threads=threads,
            peers=tuple(peers or ()),
            all=all_models,
            quick=quick,
            folder=folder,
        )
    )
    print(f"kept in {target}")
    if report.interrupted:
        raise typer.Exit(130)
    if report.failures:
        raise typer.Exit(1)


@app.command()
def run_kernel(
    kernel: Annotated[str, typer.Argument(help="conv2d or depthwise")],
    step: Annotated[int, typer.Option(help="from 1, the naive kernel, on")] = 1,
    trace: Annotated[bool, typer.Option("--trace", help="memory traffic per source line")] = False,
    n: Annotated[int, typer.Option("--n", help="images")] = 1,
    h: Annotated[int, typer.Option("--h", help="rows")] = 16,
    w: Annotated[int, typer.Option("--w", help="columns")] = 16,
    c: Annotated[int, typer.Option("--c", help="channels, a multiple of 4")] = 32,
    k: Annotated[
        int | None, typer.Option("--k", help="output channels; 64, and c of depthwise")
    ] = None,
) -> None:
    """Run a step of a ladder of CUDA kernels (csrc/cuda/ladder) in the emulator: no GPU needed."""
    try:
        run = ladder.run_kernel(kernel, step, n, h, w, c, k)
    except EmulatorError as error:
        print(f"fastconv: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    ladder.show(run, trace, Console())
    if run.wrong:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """What is installed, what works on this machine, and a self-test of five seconds."""
    report = check.examine()
    for name, value in report.facts.items():
        print(f"{name:<14} {value}")
    for name, error in report.checks.items():
        print(f"{name:<46} {'ok' if error is None else 'FAILED: ' + error}")
    if any(report.checks.values()):
        raise typer.Exit(1)


def main(program: typer.Typer = app) -> None:
    """Entry point: errors of fastconv in one line on standard error, exit code 2."""
    try:
        program()
    except FastconvError as error:
        print(f"fastconv: {error}", file=sys.stderr)
        sys.exit(2)


def bench_main() -> None:
    """Entry point of benchmarks/run.py: `fastconv bench` under its own name."""
    sys.argv.insert(1, "bench")
    main()
