"""Weights from the hub, against one on 127.0.0.1 with random weights in the layouts of others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import fastconv as fc
from fastconv.errors import ArgumentError, DownloadError
from fastconv.models import create_model
from fastconv.models.hub import Address, fetch
from tests import torch_files
from tests.local_hub import COMMIT, running
from tests.small_models import logits, randomised, registered

library = pytest.importorskip(
    "huggingface_hub", reason="huggingface_hub is not installed (pip install 'fastconv[hub]')"
)
from huggingface_hub import constants, file_download  # noqa: E402

REPO = "timm/small_resnet.tv_in1k"


def point_at(address, monkeypatch):
    """What HF_ENDPOINT does before the library is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with the weights of `hub.source` as timm publishes them, and an empty cache."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with registered(), running() as (hub, address):
        point_at(address, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # how long it waits before it tries again
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        hub.source = randomised(create_model("small_resnet"))
        hub.content = safetensors.numpy.save(
            dict(fc.to_torch_state_dict(hub.source)), {"format": "pt"}
        )
        hub.files[REPO, "model.safetensors"] = hub.content
        hub.address, hub.cache = address, tmp_path / "cache"
        yield hub


def gets(hub):
    return [row for row in hub.requests if row[0] == "GET" and "/resolve/" in row[1]]


def blobs(hub):
    """Whole files in the cache."""
    found = hub.cache.glob("models--*/blobs/*")
    return [p.name for p in found if not p.name.endswith(".incomplete")]


def test_published_weights_are_fetched_once(hub):
    model = create_model("small_resnet", pretrained=True)
    np.testing.assert_array_equal(logits(model), logits(hub.source))
    assert model.load_report.source == "hf-hub:timm/small_resnet.tv_in1k"
    assert blobs(hub) == [hub.etag(hub.content)] and len(gets(hub)) == 1
    before = len(hub.requests)
    again = create_model("small_resnet", pretrained=True)
    np.testing.assert_array_equal(logits(again), logits(hub.source))
    assert len(hub.requests) == before


def test_the_cache_is_the_librarys_own(hub):
    path = fetch(Address(REPO))
    assert library.hf_hub_download(REPO, "model.safetensors", local_files_only=True) == str(path)
    assert library.try_to_load_from_cache(REPO, "model.safetensors", revision=COMMIT) == str(path)
    assert path.read_bytes() == hub.content
    (repo,) = library.scan_cache_dir(hub.cache).repos
    assert repo.repo_id == REPO and repo.size_on_disk == len(hub.content)


def test_what_the_library_has_fetched_is_taken(hub):
    library.hf_hub_download(REPO, "model.safetensors")
    before = len(hub.requests)
    assert fetch(Address(REPO)).read_bytes() == hub.content
    assert len(hub.requests) == before


def test_any_repository_and_its_pytorch_file(hub, tmp_path):
    torch_files.save(fc.to_torch_state_dict(hub.source), tmp_path / "w.bin")
    hub.files["some.one/my_net", "pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    hub.lfs = False
    model = create_model("small_resnet", pretrained="hf-hub:some.one/my_net")
    np.testing.assert_array_equal(logits(model), logits(hub.source))
    hub.revisions.add("v1")
    model = create_model("small_resnet", pretrained="hf-hub:some.one/my_net@v1")
    assert model.load_report.source == "hf-hub:some.one/my_net@v1"
    assert len(gets(hub)) == 1


def test_without_network_the_cache_serves(hub, monkeypatch):
    fetch(Address(REPO))
    point_at("http://127.0.0.1:9", monkeypatch)
    assert fetch(Address(REPO)).read_bytes() == hub.content
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(Address(REPO)).read_bytes() == hub.content


@pytest.mark.parametrize("offline", [False, True])
def test_without_network_and_cache_the_error_gives_address_and_command(hub, monkeypatch, offline):
    point_at("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    url = f"http://127.0.0.1:9/{REPO}/resolve/main/model.safetensors"
    with pytest.raises(DownloadError) as error:
        create_model("small_resnet", pretrained=True)
    text = str(error.value)
    assert text.startswith(f"create_model: {url} could not be had (")
    assert f"curl -L -o small_resnet.tv_in1k.safetensors {url} " in text
    assert f"hf download {REPO} model.safetensors --local-dir ." in text
    assert "pretrained='small_resnet.tv_in1k.safetensors'" in text and str(hub.cache) in text
    assert ("OfflineModeIsEnabled" in text) == offline
    assert isinstance(error.value, OSError)


def test_an_interrupted_download_goes_on_where_it_was(hub, monkeypatch):
    half = len(hub.content) // 2
    with monkeypatch.context() as patch:
        patch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", half)
        patch.setattr(file_download, "http_get", dies_after_one_block)
        with pytest.raises(KeyboardInterrupt):
            fetch(Address(REPO))
    assert blobs(hub) == [] and len(gets(hub)) == 1
    assert fetch(Address(REPO)).read_bytes() == hub.content
    assert gets(hub)[1][2] == f"bytes={half}-"
    assert list(hub.cache.rglob("*.incomplete")) == []


def dies_after_one_block(url, file, original=file_download.http_get, **options):
    class Dies:
        def write(self, block):
            file.write(block)
            raise KeyboardInterrupt

    original(url, Dies(), **options)


def test_a_lost_connection_is_taken_up_again(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut = 100 * (len(hub.content) // 250)
    assert fetch(Address(REPO)).read_bytes() == hub.content
    assert [r for _, _, r in gets(hub)] == [None, f"bytes={hub.cut}-", f"bytes={2 * hub.cut}-"]


def test_a_connection_that_is_lost_again_and_again_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10)
    hub.cut, hub.ranges = 20, False
    with pytest.raises(DownloadError, match="could not be had"):
        fetch(Address(REPO))
    assert blobs(hub) == []


def test_a_server_without_ranges_sends_it_anew(hub):
    hub.ranges = False
    folder = hub.cache / f"models--{REPO.replace('/', '--')}" / "blobs"
    folder.mkdir(parents=True)
    part = folder / f"{hub.etag(hub.content)}.fastconv.incomplete"
    part.write_bytes(b"wrong" * 10)
    assert fetch(Address(REPO)).read_bytes() == hub.content


@pytest.mark.parametrize("lfs", [True, False])
def test_a_wrong_file_never_enters_the_cache(hub, lfs):
    hub.lfs = lfs
    hub.wrong = bytes(len(hub.content))
    with pytest.raises(DownloadError, match=r"not the file that it announced \(checksum .* again"):
        create_model("small_resnet", pretrained=True)
    assert blobs(hub) == [] and list(hub.cache.rglob("*.incomplete")) == []
    assert list(hub.cache.rglob("snapshots")) == []
    hub.wrong = None
    model = create_model("small_resnet", pretrained=True)
    np.testing.assert_array_equal(logits(model), logits(hub.source))


def test_a_wrong_beginning_is_thrown_away(hub):
    folder = hub.cache / f"models--{REPO.replace('/', '--')}" / "blobs"
    folder.mkdir(parents=True)
    part = folder / f"{hub.etag(hub.content)}.fastconv.incomplete"
    part.write_bytes(b"wrong")
    with pytest.raises(DownloadError, match="not the file that it announced"):
        fetch(Address(REPO))
    assert not part.exists()
    part.write_bytes(hub.content + b"more than the whole")
    assert fetch(Address(REPO)).read_bytes() == hub.content


def test_a_truncated_file_never_enters_the_cache(hub):
    hub.cut = 0
    with pytest.raises(DownloadError, match="could not be had"):
        create_model("small_resnet", pretrained=True)
    assert blobs(hub) == [] and list(hub.cache.rglob("snapshots")) == []


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("hf-hub:no/such", r"there is no repository 'no/such' at http://127.*`hf auth login`"),
        (f"hf-hub:{REPO}@v7", r"has no revision 'v7'"),
        ("hf-hub:empty/one", r"has neither model\.safetensors nor pytorch_model\.bin"),
    ],
)
def test_what_the_hub_does_not_have_is_told(hub, address, text):
    hub.files["empty/one", "README.md"] = b"nothing"
    with pytest.raises(DownloadError, match=text):
        create_model("small_resnet", pretrained=address)


def test_addresses():
    assert Address.parse("hf-hub:timm/a.b_c-1") == ("timm/a.b_c-1", "main")
    assert str(Address.parse("hf-hub:timm/a@refs/pr/1")) == "hf-hub:timm/a@refs/pr/1"
    for wrong in (
        "hf-hub:",
        "hf-hub:a",
        "hf-hub:a/b/c",
        "hf-hub:a/../b",
        "hf-hub:a/b@",
        "hf-hub:a/b c",
    ):
        with pytest.raises(ArgumentError, match=re.escape(repr(wrong))):
            Address.parse(wrong)


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError) as error:
        create_model("resnet18", pretrained=True)
    text = str(error.value)
    assert "pip install 'fastconv[hub]'. Without it: On a machine with network: curl -L -o" in text
    assert "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors" in text


def test_the_environment_variables_are_the_librarys(hub, tmp_path):
    """HF_ENDPOINT and HF_HUB_CACHE, in a process of its own; resnet18 as timm publishes it."""
    source = randomised(create_model("resnet18"))
    arrays = dict(fc.to_torch_state_dict(source))
    hub.files["timm/resnet18.tv_in1k", "model.safetensors"] = safetensors.numpy.save(arrays)
    code = (
        "import sys, fastconv as fc\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "m = fc.models.create_model('resnet18', pretrained=True)\n"
        "print(m.load_report); print(float(m.conv1.weight.numpy()[0, 0, 0, 0]))"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(tmp_path / "own")}
    environment["HF_HUB_OFFLINE"] = "0"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    report, value = result.stdout.splitlines()
    assert report == "122 tensors loaded from hf-hub:timm/resnet18.tv_in1k"
    assert float(value) == float(source.conv1.weight.numpy()[0, 0, 0, 0])
    assert list((tmp_path / "own").glob("models--timm--resnet18.tv_in1k/snapshots/*/*"))
