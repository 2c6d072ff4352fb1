"""benchmarks/compare.py without PyTorch, figures made up: refusals, failures, report, chart."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastconv.bench import versus
from fastconv.bench.compare import MismatchError
from fastconv.bench.machine import Machine
from fastconv.bench.pairs import Pairs, Piece, Round
from fastconv.bench.standing import Row
from fastconv.bench.tables import markdown
from fastconv.bench.versus_chart import draw
from fastconv.bench.versus_parts import (
    Facts,
    Subject,
    answers_of,
    facts_of,
    memory_of,
    reason,
    times_of,
)
from fastconv.bench.versus_report import (
    Compared,
    Comparison,
    dated_folder,
    headline,
    tables,
    write,
)
from fastconv.errors import ArgumentError, UnknownModelError

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "compare.py"
EPYC = Machine("AMD EPYC", "Linux 6", "3.11", "2.4", "0.1.0", "abc", "avx512", 2, 5e11, "m", 4e10)
STARTED = "2026-11-22T03:00:00+00:00"
ANSWERS = {"logits": 1e-7, "share_of_allowed": 0.06}


def pairs(ratio=2.0, waiting: float | None = 0.0, wanted=3):
    rounds = [Round(Piece(0.1, waiting), Piece(0.1 * ratio * s, 0.0)) for s in (0.9, 1.0, 1.2)]
    return Pairs(wanted, rounds)


def a_report(**facts):
    variants = {"channels_last": pairs(2.0), "NCHW": pairs(3.0)}
    rows = [
        Row("inference", 1, dict(variants), {"compile": "InductorError: no compiler"}),
        Row("training", 8, variants, memory={"fastconv": 80_000_000, "torch": 100_000_000}),
    ]
    found = Compared("resnet18", (224, 224, 3), "torchvision:resnet18", ANSWERS, rows)
    return Comparison(EPYC, {}, STARTED, {"torch": "2.13"}, [found], **facts)


@pytest.fixture
def made_up(monkeypatch):
    """Every part of a run but PyTorch's and the clock's; a list of the parts that ran."""
    ran = []

    def alone(function, *arguments):
        subject = arguments[0]
        ran.append((function, getattr(subject, "name", None)))
        if function is facts_of:
            known = {name: f"somewhere:{name}" for name in arguments[1] if name != "plain18"}
            return Facts({"torch": "2.13"}, known)
        if function is answers_of:
            if subject.name == "alexnet":
                raise MismatchError("alexnet: logits differs; nothing was timed")
            return ANSWERS
        if function is times_of:
            return {"channels_last": pairs()}, {}
        return 1_000_000

    monkeypatch.setattr(versus, "alone", alone)
    monkeypatch.setattr(versus, "describe", lambda: EPYC)
    monkeypatch.setattr(versus, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(versus, "find_spec", {"torch": "here"}.get)
    return ran


# ---- refusals


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"peer": "jax"}, "peer must be one of torch, got 'jax'"),
        ({"mode": "sideways"}, "mode must be inference, training or both, got 'sideways'"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"inference_batch": (1, 0)}, "inference-batch must be at least 1, got 0"),
        ({"training_batch": (-8,)}, "training-batch must be at least 1, got -8"),
        (
            {"threads": 10**6},
            "threads must be 1 to .*, the cores .* may use, got 1000000",
        ),
        ({"threads": 0}, "threads must be 1 to .*got 0"),
        ({"chart": True}, "matplotlib is not installed"),
        ({"models": ("plain18",)}, "torch has none of plain18"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_measured(made_up, tmp_path, options, text):
    with pytest.raises(ArgumentError, match=text):
        versus.run(versus.Options(**options, results=tmp_path))
    assert not [part for part, _ in made_up if part is not facts_of]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_network_is_named_with_its_neighbours(made_up):
    with pytest.raises(UnknownModelError, match="resnet50"):
        versus.run(versus.Options(models=("resnet55",)))


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(versus, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"torch is not installed: .*fastconv\[peers"):
        versus.run(versus.Options())


def test_the_command_line_refuses_in_one_line_with_exit_code_2():
    command = [sys.executable, str(SCRIPT), "--peer", "jax"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert out.returncode == 2 and out.stdout == ""
    assert out.stderr == "fastconv: compare: peer must be one of torch, got 'jax'\n"


# ---- a run


def test_a_network_whose_answers_differ_is_not_timed_and_the_rest_goes_on(made_up, tmp_path):
    options = versus.Options(models=("alexnet", "plain18", "lenet5"), results=tmp_path)
    report, folder = versus.run(options)
    assert report.failures == {
        "alexnet": "MismatchError: alexnet: logits differs; nothing was timed"
    }
    assert [name for part, name in made_up if part is not facts_of] == ["alexnet"] + 8 * ["lenet5"]
    assert [part for part, _ in made_up[2:]] == [
        answers_of, times_of, times_of, memory_of, memory_of, times_of, memory_of, memory_of
    ]  # fmt: skip
    assert report.without == ["plain18"]
    assert folder == tmp_path / "2026-11-22-epyc-2-threads-torch".replace(
        "2026-11-22", report.started[:10]
    )
    page = (folder / "compare.md").read_text()
    assert "FAILED alexnet" in page and "PyTorch has no twin of plain18" in page
    assert versus.NO_CHART in page and not (folder / "compare.png").exists()
    text = (folder / "compare.json").read_text()
    assert str(tmp_path) not in text  # where results go is nobody's business
    (alexnet, lenet) = json.loads(text)["results"]
    assert alexnet["rows"] == [] and len(lenet["rows"]) == 3


def test_the_exit_code_says_that_answers_differ(made_up, tmp_path):
    spec = spec_from_file_location("compare", SCRIPT)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    for models, code in ((("alexnet",), 1), (("lenet5",), 0)):
        arguments = [text for name in models for text in ("--models", name)]
        arguments += ["--out", str(tmp_path / models[0]), "--no-memory", "--mode", "inference"]
        result = CliRunner().invoke(script.app, arguments)
        assert result.exit_code == code, result.output
        assert f"kept in {tmp_path / models[0]}" in result.output
    assert memory_of not in {part for part, _ in made_up}


def test_ctrl_c_keeps_what_is_there(made_up, monkeypatch, tmp_path):
    ours = versus.alone

    def alone(function, *arguments):
        if function is times_of and arguments[1:3] == ("training", 8):
            raise KeyboardInterrupt
        return ours(function, *arguments)

    monkeypatch.setattr(versus, "alone", alone)
    report, folder = versus.run(versus.Options(models=("lenet5", "alexnet"), out=tmp_path))
    assert report.interrupted and [row.title for _, row in report.rows] == [
        "inference b1", "inference b8"
    ]  # fmt: skip
    assert "interrupted" in (folder / "compare.md").read_text()


def test_quick_takes_small_pictures(made_up, monkeypatch, tmp_path):
    subjects = []
    ours = versus.alone

    def alone(function, *arguments):
        subjects.extend(a for a in arguments if isinstance(a, Subject))
        return ours(function, *arguments)

    monkeypatch.setattr(versus, "alone", alone)
    report, _ = versus.run(versus.Options(models=("squeezenet1_1",), quick=True, out=tmp_path))
    assert {s.shape for s in subjects} == {(64, 64, 3)}
    assert any(note.startswith("QUICK") for note in report.notes)


def test_a_reason_fits_into_a_table():
    assert reason(ValueError("one | two\nthree")) == "ValueError: one / two"
    assert len(reason(ValueError(1000 * "x"))) == 200


# ---- reports


def cells(page, *beginning):
    (row,) = (line for line in page.splitlines() if line.startswith("| " + " | ".join(beginning)))
    return row.strip("| ").split(" | ")


def test_the_page_has_ratio_bar_and_whether_it_is_reached():
    report = a_report()
    page = markdown("t", headline(report), tables(report))
    speed = cells(page, "resnet18", "inference b1", "channels_last", "100.00", "200.00")
    assert speed[5:] == [
        "2.00", "1.80 to 2.40", "1.5", "2", "stretch", "compile: failed: InductorError: no compiler"
    ]  # fmt: skip
    memory = cells(page, "resnet18", "training b8", "80.0")
    assert memory[2:] == ["80.0", "100.0", "0.80", "0.85", "0.6", "yes"]
    pair = cells(page, "resnet18", "training b8", "NCHW")
    assert pair[3:] == [
        "100.00", "0%", "300.00", "15%", "3.00", "2.70 to 3.60", "2.70 to 3.60", "3 of 3"
    ]  # fmt: skip
    assert "resnet18 | 224x224x3 | torchvision:resnet18 | 1.0e-07 | - |" in page


def test_disturbed_figures_are_marked_and_discarding_is_explained():
    report = a_report()
    report.results[0].rows[1].pairs = {"channels_last": pairs(2.0, waiting=0.5, wanted=2)}
    page = markdown("t", headline(report), tables(report))
    assert cells(page, "resnet18", "training b8", "channels_last", "100.00", "200.00")[5:10] == [
        "2.00!", "1.80 to 2.40", "1.4", "1.6", "?"
    ]  # fmt: skip
    assert "over 5 % of time x threads; !: over half were" in page
    report.results[0].rows[1].pairs = {"channels_last": pairs(2.0, waiting=None)}
    assert any("no round was discarded" in line for line in headline(report))


def test_the_json_has_every_round_and_how_rows_stand(tmp_path):
    report = a_report(failures={"vgg16": "MismatchError: x"})
    report.results[0].rows[1].pairs["channels_last"].rounds[0].peer.waiting = 0.2
    write(report, tmp_path)
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["compare.json", "compare.md"]
    row = kept["results"][0]["rows"][1]
    assert [r["discarded"] for r in row["pairs"]["channels_last"]["rounds"]] == [True, False, False]
    assert row["pairs"]["channels_last"]["rounds"][1]["ours"] == {"seconds": 0.1, "waiting": 0.0}
    assert row["speed_standing"]["bar"] == {"value": 1.4, "stretch": 1.6}
    assert row["memory_standing"]["ratio"] == 0.8 and kept["machine"]["isa"] == "avx512"
    assert kept["failures"] == {"vgg16": "MismatchError: x"}


@pytest.mark.parametrize(
    ("processor", "part"),
    [
        ("AMD EPYC", "epyc"),
        ("AMD EPYC 9654 96-Core Processor", "epyc-9654"),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "xeon-platinum-8375c"),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "core-i7-8550u"),
        ("AMD Ryzen 7 5800H with Radeon Graphics", "ryzen-7-5800h"),
        ("", "cpu"),
    ],
)
def test_results_go_where_date_and_machine_say_and_never_over_others(tmp_path, processor, part):
    machine = Machine(**EPYC.as_dict() | {"processor": processor})
    names = [f"2026-11-22-{part}-2-threads-torch{number}" for number in ("", "-2", "-3")]
    for name in names:
        folder = dated_folder(tmp_path, STARTED, machine, "torch")
        assert folder == tmp_path / name
        folder.mkdir()


# ---- the chart


def test_the_chart_has_every_ratio_and_the_lines_to_reach(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    draw(a_report(), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    found = {}
    for axis in pyplot.gcf().axes:
        lines = [c for c in axis.collections if len(c.get_segments()[0]) == 2]
        found[axis.get_title()] = (
            [round(bar.get_width(), 2) for bar in axis.patches],
            sorted(c.get_segments()[0][0][0] for c in lines if c.get_linewidth()[0] != 1),
        )
    monkeypatch.undo()
    pyplot.close("all")
    assert found == {
        "inference, batch 1": ([2.0, 3.0], [1.5, 2.0]),
        "training, batch 8": ([2.0, 3.0], [1.4, 1.6]),
        "memory of training, batch 8": ([0.8], [0.6, 0.85]),
    }


def test_without_figures_there_is_no_chart(tmp_path):
    pytest.importorskip("matplotlib")
    draw(Comparison(EPYC, {}, STARTED, {}), tmp_path / "c.png")
    assert list(tmp_path.iterdir()) == []
