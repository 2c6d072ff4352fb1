"""Measured choices of the CPU: the table, what it overrules, the tool that fills it."""

import json

import numpy as np
import pytest

import fastconv as fc
from fastconv.analysis import explain
from fastconv.backend import Conv2dProblem, tuned
from fastconv.backend.select import NATIVE_BUILT
from fastconv.backend.tuned import Measured, Table

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built", allow_module_level=True)

from fastconv.backend import cpu
from fastconv.bench.machine import describe
from fastconv.bench.timing import Timing
from tools import tune_cpu

FLOAT = np.dtype("float32")
DENSE = Conv2dProblem(8, 56, 56, 64, 64, 3, 3, 56, 56, (1, 1), (1, 1, 1, 1))
KEY = (DENSE, "fwd", FLOAT, False)


@pytest.fixture
def use(monkeypatch):
    """Puts a table in place of the one of this machine's instruction set."""

    def put(choices):
        monkeypatch.setattr(tuned, "_table", lambda isa: Table("a processor", choices))
        cpu.conv2d_choose.cache_clear()

    yield put
    monkeypatch.undo()
    cpu.conv2d_choose.cache_clear()


def test_what_was_measured_overrules_the_model(use):
    use({})
    assert cpu.conv2d_choose(*KEY[:3], "default", False) == "winograd"
    use({KEY: Measured({"implicit": 0.001, "winograd": 0.002})})
    assert cpu.conv2d_choose(*KEY[:3], "default", False) == "implicit"
    # nothing was said of other precisions of the arithmetic, directions, packed weights
    assert cpu.conv2d_choose(DENSE, "fwd", FLOAT, "default", True) == "winograd"
    assert cpu.conv2d_choose(DENSE, "dgrad", FLOAT, "default", False) == "winograd"


def test_the_model_decides_where_the_fastest_is_refused(use):
    strided = DENSE._replace(p=28, q=28, stride=(2, 2))
    use({KEY: Measured({"winograd": 0.001, "implicit": 0.002})})
    assert cpu.conv2d_choose(*KEY[:3], "default", False) == "winograd"
    assert cpu.conv2d_choose(*KEY[:3], "ieee", False) == "implicit"
    assert cpu.conv2d_choose(strided, "fwd", FLOAT, "default", False) == "implicit"


def test_the_convolution_runs_what_was_measured(use):
    use({(DENSE, "fwd", FLOAT, False): Measured({"im2col": 0.001, "winograd": 0.002})})
    x, w = np.ones(DENSE.x_shape, FLOAT), np.ones(DENSE.w_shape, FLOAT)
    with fc.Trace() as trace:
        y = fc.functional.conv2d(x, w, padding=1)
    assert trace.records[0].kernel == "im2col"
    assert y[0, 5, 5, 0] == 9 * 64  # exact, as Winograd is not


def test_it_is_explained(use):
    use({KEY: Measured({"implicit": 0.00125, "winograd": 0.002})})
    told = explain(DENSE, packed=False)
    assert told.chosen == "implicit"
    assert told.reason == "implicit: the fastest that was measured, on a processor"
    lines = str(told).splitlines()
    assert any(line.startswith("  * implicit") and "1.250 ms" in line for line in lines)
    assert any("winograd" in line and "2.000 ms" in line for line in lines)
    assert "measured" in "".join(lines)
    assert "measured" not in str(explain(DENSE, direction="dgrad"))


def test_every_row_of_this_instruction_set_fits():
    """The algorithm is one of the convolution's, and the table is not larger than it has to be."""
    for (problem, direction, dtype, packed), found in tuned.load(
        tuned.table_path(cpu.isa())
    ).choices.items():
        fits = cpu.conv2d_algorithms(problem, direction, dtype, packed)
        assert set(found.seconds) <= set(fits)
        model = next(n for n in fits if n in found.seconds)
        # three digits are kept
        assert found.seconds[model] >= (tune_cpu.GAIN - 0.01) * found.seconds[found.fastest]


# ---- the tool


def timings(**rounds):
    return {name: Timing(seconds) for name, seconds in rounds.items()}


@pytest.mark.parametrize(
    ("winograd", "implicit", "kept"),
    [
        ([1.0] * 5, [0.9] * 5, True),
        ([1.0] * 5, [0.97] * 5, False),  # not worth a row
        ([1.0] * 5, [1.1] * 5, False),  # the model was right
        ([1.0] * 5, [0.8, 0.8, 0.8, 1.1, 1.1], False),  # not in nearly all rounds
        ([1.0] * 5, [0.8, 0.8, 0.8, 0.8, 1.1], True),
    ],
)
def test_only_a_clear_gain_is_kept(winograd, implicit, kept):
    found = tune_cpu.verdict(timings(winograd=winograd, implicit=implicit), "winograd")
    assert (found is not None) == kept
    if kept:
        assert found == {"winograd": np.median(winograd), "implicit": np.median(implicit)}


def test_what_is_measured():
    assert tune_cpu.contenders(DENSE, "fwd", True) == ["winograd", "implicit"]
    pointwise = DENSE._replace(r=1, s=1, pad=(0, 0, 0, 0))
    assert tune_cpu.contenders(pointwise, "fwd", True) == ["1x1"]  # nothing to compare


@pytest.mark.parametrize(("direction", "packed"), tune_cpu.PASSES)
def test_the_passes_that_are_measured_give_the_same(direction, packed):
    small = Conv2dProblem(2, 9, 9, 16, 16, 3, 3, 9, 9, (1, 1), (1, 1, 1, 1))
    names = ["winograd", "implicit", "im2col"]
    results = []
    for name in names:
        rng = np.random.default_rng(1)
        x, w, y = (
            rng.standard_normal(s, FLOAT) for s in (small.x_shape, small.w_shape, small.y_shape)
        )
        tune_cpu.one_pass(small, direction, packed, name, x, w, y)()
        results.append({"fwd": y, "dgrad": x, "wgrad": w}[direction])
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=0, atol=1e-3)


def test_a_table_written_is_the_table_read(tmp_path):
    path = tmp_path / "tuned.json"
    assert tuned.load(path) == Table("", {})
    choices = {KEY: {"winograd": 0.0021, "implicit": 0.0012}}
    tune_cpu.write(path, describe(), choices)
    table = tuned.load(path)
    assert table.choices == {KEY: Measured({"implicit": 0.0012, "winograd": 0.0021})}
    assert table.choices[KEY].fastest == "implicit"
    assert table.machine == json.loads(path.read_text())["machine"]["processor"] != ""
    assert [p.name for p in tmp_path.iterdir()] == ["tuned.json"]


def test_a_run_from_the_command_line(tmp_path, monkeypatch, capsys):
    """Rows that the run does not measure stay; one that no longer holds goes."""
    path = tmp_path / "tuned.json"
    other = DENSE._replace(n=3)
    old = {KEY: {"winograd": 0.002, "implicit": 0.001}}
    tune_cpu.write(path, describe(), old | {(other, *KEY[1:]): {"winograd": 2.0, "implicit": 1.0}})
    monkeypatch.setattr(tuned, "table_path", lambda isa: path)
    monkeypatch.setattr(tune_cpu, "distinct_layers", lambda names, batch: {DENSE: None})
    seen = []

    def timed(sides, repeats, gauge):
        seen.append((sorted(sides), repeats))
        for run in sides.values():
            run()
        first = len(seen) == 1  # forward with packed weights: the model is wrong; else it is right
        return timings(winograd=[1.0] * 3, implicit=[0.5 if first else 1.5] * 3), None

    monkeypatch.setattr(tune_cpu, "time_undisturbed", timed)
    monkeypatch.setattr("sys.argv", ["tune_cpu.py", "--models", "resnet18", "--batch", "8"])
    tune_cpu.main()
    assert seen == [(["implicit", "winograd"], 5)] * 4
    kept = {key: m.seconds for key, m in tuned.load(path).choices.items()}
    assert kept == {
        (other, *KEY[1:]): {"implicit": 1.0, "winograd": 2.0},
        (DENSE, "fwd", FLOAT, True): {"implicit": 0.5, "winograd": 1.0},
    }
    assert "4 passes looked at, 2 rows in the table" in capsys.readouterr().out


def test_a_network_that_there_is_not(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tune_cpu.py", "--models", "resnot"])
    with pytest.raises(SystemExit):
        tune_cpu.main()
    assert "no network is called resnot" in capsys.readouterr().err
