"""fastconv beside PyTorch on this CPU: speed, memory and bars to reach (see --help)."""

from pathlib import Path
from typing import Annotated

import typer

from fastconv.bench import versus
from fastconv.cli import main

RESULTS = Path(__file__).parent / "results" / "cpu"
DEFAULTS = versus.Options()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compare(
    peer: Annotated[str, typer.Option(help="torch")] = DEFAULTS.peer,
    models: Annotated[
        list[str] | None, typer.Option(help="shell patterns; may be given several times")
    ] = None,
    all_models: Annotated[bool, typer.Option("--all", help="every network of both")] = False,
    mode: Annotated[str, typer.Option(help="inference, training or both")] = DEFAULTS.mode,
    inference_batch: Annotated[
        list[int] | None, typer.Option(help="images; may be given several times; 1 and 8")
    ] = None,
    training_batch: Annotated[
        list[int] | None, typer.Option(help="images; may be given several times; 8")
    ] = None,
    rounds: Annotated[int, typer.Option(help="undisturbed rounds of every pair")] = DEFAULTS.rounds,
    threads: Annotated[
        int | None, typer.Option(help="of both sides; the cores that this process may use")
    ] = None,
    quick: Annotated[bool, typer.Option(help="small pictures, three rounds")] = False,
    memory: Annotated[bool, typer.Option(help="measure memory at batch 8")] = DEFAULTS.memory,
    chart: Annotated[
        bool | None, typer.Option("--chart/--no-chart", help="needs matplotlib")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder; a dated one in results/cpu")] = None,
) -> None:
    """Compare answers, then measure networks in turn with the peer: ratios of speed and of memory,
    beside the bars of fastconv/bench/bars.py."""
    report, folder = versus.run(
        versus.Options(
            peer=peer,
            models=tuple(models or ()),
            all=all_models,
            mode=mode,
            inference_batch=tuple(inference_batch or DEFAULTS.inference_batch),
            training_batch=tuple(training_batch or DEFAULTS.training_batch),
            rounds=rounds,
            threads=threads,
            quick=quick,
            memory=memory,
            chart=chart,
            out=out,
            results=RESULTS,
        )
    )
    print(f"kept in {folder}")
    if report.interrupted:
        raise typer.Exit(130)
    if report.failures:
        raise typer.Exit(1)


if __name__ == "__main__":
    main(app)
