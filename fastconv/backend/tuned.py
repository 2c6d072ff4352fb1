"""Which algorithm a convolution runs where it was measured: the cost model has the last word only
where it was not, or where the two hardly differ.

One table per instruction set, tuned_<isa>.json beside this file, written by tools/tune_cpu.py. It
goes by the instruction set and not by the machine that it was measured on, whose name it bears:
machines of one instruction set then still give the same bits.
"""

import functools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastconv.backend.problem import Conv2dProblem

__all__ = ["Measured", "Table", "load", "measured", "table_path"]


class Measured(NamedTuple):
    """seconds: of one pass by each algorithm that was measured, the fastest one first."""

    seconds: dict[str, float]

    @property
    def fastest(self) -> str:
        return next(iter(self.seconds))


class Table(NamedTuple):
    """machine: the processor's name. choices: (problem, direction, dtype, packed) -> Measured."""

    machine: str
    choices: dict[tuple, Measured]


def table_path(isa: str) -> Path:
    """Where the table of an instruction set lies, if there is one."""
    return Path(__file__).with_name(f"tuned_{isa}.json")


def load(path: Path) -> Table:
    """The table in a file; an empty one if there is no file."""
    if not path.exists():
        return Table("", {})
    kept = json.loads(path.read_text())
    choices = {}
    for row in kept["choices"]:
        parts = [tuple(v) if isinstance(v, list) else v for v in row["problem"]]
        key = Conv2dProblem(*parts), row["direction"], np.dtype(row["dtype"]), row["packed"]
        choices[key] = Measured(dict(sorted(row["seconds"].items(), key=lambda item: item[1])))
    return Table(kept["machine"]["processor"], choices)


@functools.cache
def _table(isa):
    return load(table_path(isa))


def measured(isa, problem, direction, dtype, packed) -> tuple[Measured, str] | None:
    """What was measured of this convolution, and on which machine; None if it was not."""
    table = _table(isa)
    found = table.choices.get((problem, direction, np.dtype(dtype), packed))
    return None if found is None else (found, table.machine)
