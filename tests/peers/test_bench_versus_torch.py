"""benchmarks/compare.py with PyTorch, on small networks: answers come first and are compared."""

from importlib import import_module

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import memory_stats, select
from fastconv.bench import versus
from fastconv.bench.compare import MismatchError
from fastconv.bench.own_process import alone
from fastconv.bench.pairs import Pairs, Piece, Round
from fastconv.bench.versus_parts import OURS, Subject, memory_of, times_of
from fastconv.bench.workload import build

torch = pytest.importorskip("torch")
answers = import_module("fastconv.bench.torch_answers")
torch_peer = import_module("fastconv.bench.torch_peer")
sources = import_module("fastconv.bench.torch_sources")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not select.NATIVE_BUILT, reason="fastconv._cpu is not built"),
]

SMALL = (64, 64, 3)
QUICK = versus.Options(models=("squeezenet1_1",), quick=True, memory=False, chart=False)


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    if sources.load_torchvision() is None:
        pytest.skip("torchvision is not installed")
    ours, theirs = fc.backend.num_threads(), torch.get_num_threads()
    yield
    fc.set_num_threads(ours)
    torch.set_num_threads(theirs)


@pytest.fixture
def here(monkeypatch):
    """The parts of a run in this process, where tests can break something, and their times made up;
    those that ran."""
    ran = []

    def in_this_process(function, *arguments):
        ran.append(function)
        if function is times_of:
            return {"channels_last": Pairs(1, [Round(Piece(1, 0), Piece(1, 0))])}, {}
        return function(*arguments)

    monkeypatch.setattr(versus, "alone", in_this_process)
    monkeypatch.setattr(versus, "describe", lambda: None)
    monkeypatch.setattr(versus, "dated_folder", lambda root, *_: root)
    monkeypatch.setattr("fastconv.bench.versus_report.machine_lines", lambda *_: [])
    return ran


def altered(monkeypatch, change):
    """Weights arrive in PyTorch changed: change(name, array)."""
    real = fc.to_torch_state_dict

    def wrong(model, like=None):
        weights = real(model, like)
        weights.update({name: change(name, array) for name, array in weights.items()})
        return weights

    monkeypatch.setattr(fc, "to_torch_state_dict", wrong)


def one_weight(name, array):
    if name != "features.6.squeeze.weight":
        return array
    array = array.copy()
    array.flat[0] += 0.5
    return array


# ---- answers


def test_the_same_network_gives_the_same_answers():
    found = answers.compare_answers("squeezenet1_1", SMALL, training=True)
    assert set(found) == {
        "logits", "logits in training", "loss", "gradients", "share_of_allowed"
    }  # fmt: skip
    assert found["logits"] < 1e-6 and found["share_of_allowed"] < 1
    assert set(answers.compare_answers("squeezenet1_1", SMALL, training=False)) == {
        "logits", "share_of_allowed"
    }  # fmt: skip


def test_one_wrong_weight_is_noticed_and_nothing_is_timed(here, monkeypatch, tmp_path):
    options = versus.Options(**vars(QUICK) | {"out": tmp_path})
    report, _ = versus.run(options)
    assert report.failures == {} and times_of in here
    here.clear()
    altered(monkeypatch, one_weight)
    report, folder = versus.run(options)
    assert (
        "squeezenet1_1: logits differs from PyTorch in float64" in report.failures["squeezenet1_1"]
    )
    assert times_of not in here and report.rows == []
    assert "FAILED squeezenet1_1" in (folder / "compare.md").read_text()


def test_a_wrong_gradient_is_noticed_though_all_logits_are_right(monkeypatch):
    table = select.table_for([])
    right = table.max_pool2d_bwd

    def wrong(gy, argmax, gx, problem):
        right(gy, argmax, gx, problem)
        gx *= np.float32(1.2)

    monkeypatch.setattr(table, "max_pool2d_bwd", wrong)
    answers.compare_answers("squeezenet1_1", SMALL, training=False)
    with pytest.raises(MismatchError, match=r"gradient of features\.0\.weight differs"):
        answers.compare_answers("squeezenet1_1", SMALL, training=True)


def test_a_wrong_weight_deep_in_a_network_with_batch_norm_reaches_the_logits(monkeypatch):
    """It would not with fresh running statistics: values fade with the depth."""

    def change(name, array):
        return 1.01 * array if name == "stage3.3.branch2.0.weight" else array

    altered(monkeypatch, change)
    with pytest.raises(MismatchError, match="logits differs"):
        answers.compare_answers("shufflenet_v2_x0_5", SMALL, training=False)


# ---- sides


def test_eager_runs_in_both_layouts(monkeypatch):
    work = build("squeezenet1_1", 2, shape=SMALL)
    seen = {}
    real = torch_peer.twin

    def twin(work, layout):
        net = real(work, layout)
        net.register_forward_hook(lambda m, given, y: seen.update({layout: given[0]}))
        return net

    monkeypatch.setattr(torch_peer, "twin", twin)
    for variant, layout in (
        (torch_peer.CHANNELS_LAST, torch.channels_last),
        (torch_peer.NCHW, torch.contiguous_format),
    ):
        torch_peer.step(work, "inference", variant)()
        assert seen[layout].is_contiguous(memory_format=layout)


def test_a_variant_whose_weights_are_wrong_is_refused(monkeypatch):
    altered(monkeypatch, one_weight)
    work = build("squeezenet1_1", 2, shape=SMALL)
    with pytest.raises(MismatchError, match="NCHW"):
        torch_peer.step(work, "training", torch_peer.NCHW)


def test_a_network_that_does_not_compile_is_timed_without(monkeypatch):
    def no_compiler(*_, **__):
        raise RuntimeError("no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", no_compiler)
    found, failed = times_of(Subject("lenet5", (32, 32, 1), "torch", 1), "inference", 1, 1)
    assert set(found) == {"channels_last", "NCHW"}
    assert failed == {"compile": "RuntimeError: no compiler"}
    assert torch_peer.COMPILE not in torch_peer.variants("training")
    assert torch.get_num_threads() == fc.backend.num_threads() == 1


def test_eager_that_fails_is_no_footnote(monkeypatch):
    monkeypatch.setattr(torch_peer, "_inference", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        times_of(Subject("lenet5", (32, 32, 1), "torch", 1), "inference", 1, 1)


@pytest.mark.full  # the C++ compiler takes half a minute
def test_inductor_freezes_weights_and_gives_our_logits():
    pairs, failed = alone(times_of, Subject("lenet5", (32, 32, 1), "torch", 1), "inference", 2, 1)
    assert set(pairs) == {"channels_last", "NCHW", "compile"} and failed == {}


# ---- memory


def test_memory_is_measured_alone_on_both_sides():
    subject = Subject("squeezenet1_1", SMALL, "torch", 1)
    before = memory_stats()
    ours, theirs = (alone(memory_of, subject, side, "training", 8) for side in (OURS, "torch"))
    assert memory_stats() == before
    if ours is None:
        pytest.skip("this system does not tell resident memory")
    parameters = 4 * fc.models.model_info("squeezenet1_1").params
    for growth in (ours, theirs):  # gradients and momentum at least; hundreds of MB would be wrong
        assert 2 * parameters < growth < 200e6


def test_the_peers_side_computes_nothing_of_ours(monkeypatch):
    monkeypatch.setattr("fastconv.bench.versus_parts.growth", lambda step: step())
    before = memory_stats()["allocations"]
    memory_of(Subject("lenet5", (32, 32, 1), "torch", 1), "torch", "training", 2)
    assert memory_stats()["allocations"] == before
