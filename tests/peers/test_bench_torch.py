"""PyTorch as a side of the benchmark: how it is set up on a GPU, of which there is none here."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import pytest

from fastconv.backend import select
from fastconv.bench import Options, run
from fastconv.errors import DeviceError
from fastconv.models import list_models
from tests.fake_cupy import FakeCupy
from tests.model_facts import PEERS

torch = pytest.importorskip("torch")
torch_peer = import_module("fastconv.bench.torch_peer")
sources = import_module("fastconv.bench.torch_sources")
pytestmark = pytest.mark.peers
OPTIONS = Options(("lenet5",), batch=2, repeats=1, peers=("torch",))


@pytest.fixture
def switches(monkeypatch):
    """PyTorch's switches, as they are before anybody sets them, and put back afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = False, True, True
    yield lambda: (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


def streams(monkeypatch, ours, theirs):
    cupy = FakeCupy()
    cupy.cuda.streams.ptr = ours
    monkeypatch.setattr(select, "cuda_table", lambda: SimpleNamespace(xp=cupy))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    stream = SimpleNamespace(cuda_stream=theirs)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)


def test_strict_float32_on_a_gpu(switches, monkeypatch):
    streams(monkeypatch, 0, 0)
    torch_peer.set_up("cpu")
    assert switches() == (False, True, True)
    torch_peer.set_up("cuda:0")
    assert switches() == (True, False, False)
    torch_peer.set_up("cuda:0", tf32=True)
    assert switches() == (True, True, True)
    assert torch_peer.method("cuda:0").endswith("no TF32, cudnn.benchmark")


def test_events_of_another_stream_would_time_nothing(switches, monkeypatch):
    streams(monkeypatch, 2, 0)
    with pytest.raises(DeviceError, match="CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"):
        torch_peer.set_up("cuda:0")


def test_a_pytorch_without_cuda_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    if "emulator" not in select.backends() or torch.cuda.is_available():
        pytest.skip("needs the emulator and a PyTorch that finds no GPU")
    from tests import fake_cupy

    fake_cupy.install(monkeypatch)
    monkeypatch.setattr("fastconv.bench.gpu.COPY_BYTES", 1 << 16)
    with pytest.raises(DeviceError, match="finds no GPU"):
        run(replace(OPTIONS, device="cuda", folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_pytorch_is_a_side_on_the_cpu(tmp_path):
    report, _ = run(replace(OPTIONS, folder=tmp_path))
    assert report.failures == {} and any(line.startswith("torch: ") for line in report.method)
    (result,) = report.results
    for mode in ("inference", "training"):
        assert result.times[mode]["torch"].median > 0
        assert "torch" not in result.measured_peak[mode]  # PyTorch counts memory of GPUs only


def test_a_network_is_found_where_the_tests_compare_it():
    """timm has other networks under some of our names: seresnet50 is its legacy_seresnet50."""
    if None in (sources.load_torchvision(), sources.load_timm()):
        pytest.skip("torchvision and timm are not both installed")
    found = {name: sources.source(name) for name in list_models()}
    restated = {n for n, s in found.items() if (s or "").startswith("restated:")}
    assert restated == set(sources.TWINS) & set(list_models()) - set(PEERS)
    assert {n: s for n, s in found.items() if s and n not in restated} == PEERS


def test_without_torchvision_and_timm_the_restated_networks_are_left(monkeypatch):
    monkeypatch.setattr(sources, "load_torchvision", lambda: None)
    monkeypatch.setattr(sources, "load_timm", lambda: None)
    assert sources.source("resnet50") == "restated:resnet50"
    assert sources.source("mobilenet_v2") is None and not torch_peer.has("mobilenet_v2")
    assert sources.build("lenet5", 7).fc3.out_features == 7
