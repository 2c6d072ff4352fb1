"""create_model(name, pretrained=a file): other layouts, names, heads, channels; and the report."""

import json
import logging

import numpy as np
import pytest
import safetensors.numpy

import fastconv as fc
from fastconv import nn
from fastconv.errors import (
    ArgumentError,
    FileFormatError,
    MissingFileError,
    RegistryError,
    StateDictError,
    UnknownModelError,
)
from fastconv.models import create_model, list_models, model_info
from fastconv.models.pretrained import OLD_KEYS, Fit
from fastconv.models.registry import register
from fastconv.models.resnet import RESNET
from tests import torch_files
from tests.model_facts import DATA
from tests.small_models import logits, randomised, registered


@pytest.fixture(autouse=True)
def _small_models():
    with registered():
        yield


@pytest.fixture
def source():
    return randomised(create_model("small_resnet"))


def saved(model, path, layout="torch"):
    """The weights of a model in a file of that kind."""
    if layout == "ours":
        fc.save(model, path)
    elif path.suffix == ".safetensors":  # as timm writes them
        arrays = fc.to_torch_state_dict(model)
        safetensors.numpy.save_file(dict(arrays), path, {"format": "pt"})
    else:
        torch_files.save(fc.to_torch_state_dict(model), path)
    return path


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("w.safetensors", "ours"),
        ("w.safetensors", "torch"),
        ("w.pth", "torch"),
        ("w.pt", "torch"),
        ("w.bin", "torch"),
    ],
)
def test_a_file_gives_the_logits_of_the_network_it_came_from(tmp_path, source, name, layout):
    path = saved(source, tmp_path / name, layout)
    model = create_model("small_resnet", pretrained=path if layout == "ours" else str(path))
    assert model.training
    np.testing.assert_array_equal(logits(model), logits(source))
    report = model.load_report
    assert report.loaded == tuple(source.state_dict())
    assert report[:2] == ((), ()) and report.fresh == () and report.notes == ()
    assert str(report) == f"{len(source.state_dict())} tensors loaded from {str(path)!r}"


def test_without_pretrained_there_is_no_report():
    assert create_model("small_resnet").load_report is None
    assert create_model("small_resnet", pretrained=False).load_report is None


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_of_other_precision_are_cast(tmp_path, source, dtype):
    arrays = {
        k: a.astype(dtype) if a.dtype.kind == "f" else a
        for k, a in fc.to_torch_state_dict(source).items()
    }
    torch_files.save(arrays, tmp_path / "w.pth")
    model = create_model("small_resnet", pretrained=tmp_path / "w.pth")
    assert model.fc.weight.dtype == "float32"
    np.testing.assert_array_equal(model.fc.weight.numpy(), arrays["fc.weight"].astype("float32"))


def test_linear_layers_after_a_map_are_permuted_in_both_layouts(tmp_path):
    """(C, H, W) of PyTorch to (H, W, C), and timm's names and convolutions in their place."""
    source = randomised(create_model("small_vgg_bn"))
    arrays = fc.to_torch_state_dict(source)
    timm = {}
    for key, array in arrays.items():
        for ours, theirs, shape in (
            ("classifier.0.", "pre_logits.fc1.", (16, 8, 3, 3)),
            ("classifier.3.", "pre_logits.fc2.", (16, 16, 1, 1)),
            ("classifier.6.", "head.fc.", None),
        ):
            if key.startswith(ours):
                key = key.replace(ours, theirs)
                array = array.reshape(shape) if shape and array.ndim == 2 else array
        timm[key] = array
    assert "pre_logits.fc1.weight" in timm and timm["pre_logits.fc1.weight"].ndim == 4
    safetensors.numpy.save_file(timm, tmp_path / "timm.safetensors")
    torch_files.save(arrays, tmp_path / "torchvision.pth")
    for name in ("timm.safetensors", "torchvision.pth"):
        model = create_model("small_vgg_bn", pretrained=tmp_path / name)
        np.testing.assert_array_equal(logits(model), logits(source))
        assert len(model.load_report.loaded) == len(arrays)
    model = create_model("small_vgg_bn", pretrained=tmp_path / "timm.safetensors")
    assert model.load_report.notes == ("6 keys renamed, as head.fc.bias -> classifier.6.bias",)
    model = create_model("small_vgg_bn", num_classes=0, pretrained=tmp_path / "timm.safetensors")
    assert model.load_report.unexpected == ("classifier.6.weight", "classifier.6.bias")


def test_batch_counts_may_be_missing(tmp_path, source):
    arrays = fc.to_torch_state_dict(source)
    with_counts = len(arrays)
    arrays = {k: a for k, a in arrays.items() if not k.endswith("num_batches_tracked")}
    assert len(arrays) < with_counts
    torch_files.save(arrays, tmp_path / "w.pth")
    model = create_model("small_resnet", pretrained=tmp_path / "w.pth")
    np.testing.assert_array_equal(logits(model), logits(source))


# ---- heads


def test_a_head_of_another_size_asks_for_strict_head(tmp_path, source):
    path = saved(source, tmp_path / "w.pth")
    with pytest.raises(
        StateDictError,
        match=r"w\.pth' has a head for 12 classes, small_resnet was asked for 5: pass"
        r" strict_head=False .* leave the head \(fc\.weight, fc\.bias\) at its fresh weights, or"
        r" num_classes=12",
    ):
        create_model("small_resnet", num_classes=5, pretrained=path)


@pytest.mark.parametrize("layout", ["torch", "ours"])
def test_strict_head_false_leaves_the_head_fresh(tmp_path, source, layout):
    path = saved(source, tmp_path / "w.safetensors", layout)
    fc.manual_seed(3)
    fresh = create_model("small_resnet", num_classes=5)
    fc.manual_seed(3)
    model = create_model("small_resnet", num_classes=5, pretrained=path, strict_head=False)
    np.testing.assert_array_equal(model.fc.weight.numpy(), fresh.fc.weight.numpy())
    np.testing.assert_array_equal(model.conv1.weight.numpy(), source.conv1.weight.numpy())
    report = model.load_report
    assert report.fresh == ("fc.weight", "fc.bias") and report.unexpected == ()
    assert "fc.weight" not in report.loaded
    assert "\n  fresh (2): fc.weight, fc.bias\n  the file has a head for 12 classes: left out" in (
        str(report)
    )
    # a head that fits is loaded all the same
    model = create_model("small_resnet", pretrained=path, strict_head=False)
    np.testing.assert_array_equal(logits(model), logits(source))


def test_a_file_without_head_is_told(tmp_path, source):
    arrays = dict(fc.to_torch_state_dict(source))
    del arrays["fc.weight"], arrays["fc.bias"]
    torch_files.save(arrays, tmp_path / "w.pth")
    with pytest.raises(StateDictError, match=r"has no head, small_resnet was asked for 12: pass"):
        create_model("small_resnet", pretrained=tmp_path / "w.pth")
    model = create_model("small_resnet", pretrained=tmp_path / "w.pth", strict_head=False)
    assert model.load_report.fresh == ("fc.weight", "fc.bias")
    model = create_model("small_resnet", num_classes=0, pretrained=tmp_path / "w.pth")
    assert model.load_report.fresh == ()


def test_features_take_no_head(tmp_path, source):
    path = saved(source, tmp_path / "w.pth")
    model = create_model("small_resnet", num_classes=0, pretrained=path)
    assert model.load_report.unexpected == ("fc.weight", "fc.bias")
    assert "num_classes=0: its head is not used" in model.load_report.notes
    features = logits(model)
    np.testing.assert_array_equal(
        fc.functional.linear(features, source.fc.weight.numpy(), source.fc.bias.numpy()),
        logits(source),
    )


def test_auxiliary_heads_are_left_out_unless_asked_for(tmp_path):
    source = create_model("small_resnet", aux_heads=True)
    path = saved(source, tmp_path / "w.pth")
    model = create_model("small_resnet", pretrained=path)
    assert model.load_report.unexpected == ("aux.weight", "aux.bias")
    model = create_model("small_resnet", pretrained=path, aux_heads=True)
    np.testing.assert_array_equal(model.aux.weight.numpy(), source.aux.weight.numpy())
    model = create_model(
        "small_resnet", num_classes=3, pretrained=path, aux_heads=True, strict_head=False
    )
    assert model.load_report.fresh == ("aux.weight", "aux.bias", "fc.weight", "fc.bias")


# ---- input channels


@pytest.mark.parametrize("layout", ["torch", "ours"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_first_layer_adapts_and_keeps_its_sums(tmp_path, source, caplog, channels, layout):
    path = saved(source, tmp_path / "w.safetensors", layout)
    with caplog.at_level(logging.WARNING, "fastconv"):
        model = create_model("small_resnet", in_channels=channels, pretrained=path)
    old, new = source.conv1.weight.numpy(), model.conv1.weight.numpy()
    assert new.shape == (8, 3, 3, channels)
    for c in range(channels):
        np.testing.assert_allclose(new[..., c], old.mean(3) * (3 / channels), rtol=1e-6)
    # equal channels in: as before
    gray = np.random.default_rng(0).standard_normal((1, 9, 9, 1)).astype("float32")
    ys = [
        m.conv1(fc.tensor(gray.repeat(c, 3))).numpy() for m, c in ((source, 3), (model, channels))
    ]
    np.testing.assert_allclose(*ys, atol=1e-6 * abs(ys[0]).max())
    text = (
        f"in_channels={channels}: conv1.weight of the file has 3 input channels; every one of ours"
    )
    assert text in str(model.load_report) and text in caplog.text
    assert model.load_report.loaded == tuple(source.state_dict())


def test_channels_and_head_adapt_together(tmp_path, source):
    path = saved(source, tmp_path / "w.pth")
    with pytest.raises(StateDictError, match="strict_head=False"):
        create_model("small_resnet", num_classes=2, in_channels=1, pretrained=path)
    model = create_model(
        "small_resnet", num_classes=2, in_channels=1, pretrained=path, strict_head=False
    )
    assert len(model.load_report.notes) == 2 and logits(model, 1).shape == (2, 2)


# ---- what does not fit


def test_another_networks_file_names_every_key_and_loads_nothing(tmp_path):
    path = saved(create_model("small_vgg_bn"), tmp_path / "w.pth")
    with pytest.raises(StateDictError) as error:
        create_model("small_resnet", num_classes=3, pretrained=path)
    text = str(error.value)
    assert "create_model: small_resnet from" in text and "nothing was loaded" in text
    assert "missing (" in text and "    features.0.weight" in text and "strict_head" not in text


def test_one_wrong_shape_is_refused(tmp_path, source):
    arrays = dict(fc.to_torch_state_dict(source))
    arrays["layer1.0.conv1.weight"] = arrays["layer1.0.conv1.weight"][:, :4]
    torch_files.save(arrays, tmp_path / "w.pth")
    with pytest.raises(
        StateDictError, match=r"layer1\.0\.conv1\.weight: expected \(8, 8, 3, 3\), got \(8, 4, 3, 3"
    ):
        create_model("small_resnet", pretrained=tmp_path / "w.pth")
    # as many numbers in another order are not taken for the same
    arrays["layer1.0.conv1.weight"] = np.zeros((8, 3, 3, 8), "float32")
    torch_files.save(arrays, tmp_path / "w.pth")
    with pytest.raises(StateDictError, match=r"expected \(8, 8, 3, 3\), got \(8, 3, 3, 8\)"):
        create_model("small_resnet", pretrained=tmp_path / "w.pth")


def test_a_key_under_two_names_is_refused(tmp_path, source):
    arrays = dict(fc.to_torch_state_dict(source))
    torch_files.save({**arrays, "module.fc.bias": arrays["fc.bias"]}, tmp_path / "w.pth")
    with pytest.raises(StateDictError, match=r"has fc\.bias twice, under different names"):
        create_model("small_resnet", pretrained=tmp_path / "w.pth")
    torch_files.save({f"module.{k}": a for k, a in arrays.items()}, tmp_path / "w.pth")
    model = create_model("small_resnet", pretrained=tmp_path / "w.pth")
    np.testing.assert_array_equal(logits(model), logits(source))


@pytest.mark.parametrize(
    ("pretrained", "error", "text"),
    [
        (
            "w.onnx",
            ArgumentError,
            r"path of a \.safetensors, \.pth, \.pt, \.bin file, got 'w\.onnx'",
        ),
        (3, ArgumentError, "pretrained must be True, 'hf-hub:owner/name' or the path.* got 3"),
        ("no.pth", MissingFileError, r"there is no file 'no\.pth'"),
        ("no.safetensors", MissingFileError, r"there is no file 'no\.safetensors'"),
        ("hf-hub:name", ArgumentError, "'hf-hub:owner/name@revision', got 'hf-hub:name'"),
        ("hf-hub:../name", ArgumentError, "'hf-hub:owner/name'"),
        (
            True,
            ArgumentError,
            "no published weights of small_vgg_bn are known here: give pretrained",
        ),
    ],
)
def test_wrong_sources_are_named(pretrained, error, text):
    with pytest.raises(error, match=text):
        create_model("small_vgg_bn", pretrained=pretrained)


def test_a_wrong_file_is_told(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(FileFormatError, match="not a well-formed safetensors file"):
        create_model("small_resnet", pretrained=tmp_path / "w.safetensors")


# ---- keys of old files


def test_old_densenet_keys_are_renamed():
    """denselayer1.norm.1.weight, as torchvision's DenseNets before 0.3 have it."""
    new = list(json.loads((DATA / "state_dict_keys" / "densenet121.json").read_text()))
    old = {}
    for key in new:
        parts = key.split(".")
        if "denselayer" in key and parts[3][:-1] in ("norm", "conv"):
            parts[3] = f"{parts[3][:-1]}.{parts[3][-1]}"
        old[".".join(parts)] = np.zeros(())
    assert sum(k not in new for k in old) == 58 * 12  # 58 layers: two norms of 5, two convolutions
    fit = Fit(nn.Identity(), model_info("small_resnet"), {}, "'a file'", nn.StateDict(old, "OIHW"))
    fit.rename()
    assert list(fit.arrays) == new
    assert fit.notes == [
        "696 keys renamed, as features.denseblock1.denselayer1.norm.1.weight ->"
        " features.denseblock1.denselayer1.norm1.weight"
    ]
    assert len(OLD_KEYS) == 2


# ---- other names


def test_aliases_are_names_but_not_listed():
    assert model_info("little_resnet_10") is model_info("small_resnet")
    assert create_model("little_resnet_10", num_classes=3).info.name == "small_resnet"
    assert list_models("*little*") == []
    assert model_info("small_resnet").aliases == ("little_resnet_10",)
    with pytest.raises(UnknownModelError, match="did you mean little_resnet_10"):
        model_info("little_resnet_1")


@pytest.mark.parametrize(
    ("name", "aliases", "text"),
    [
        ("another", ("little_resnet_10",), "'little_resnet_10' is there already, by tests.small"),
        ("another", ("resnet18",), "'resnet18' is there already, by fastconv.models.resnet"),
        ("little_resnet_10", (), "'little_resnet_10' is there already"),
        ("another", ("more", "more"), "'more' is there already, by itself"),
        ("another", ("another",), "'another' is there already, by itself"),
    ],
)
def test_a_name_or_alias_is_there_once(name, aliases, text):
    def build(num_classes=10):
        return nn.Identity()

    build.__name__ = name
    with pytest.raises(RegistryError, match=text):
        register(RESNET, params=0, macs=0, source="a test", aliases=aliases)(build)
    assert "another" not in list_models() and list_models("little*") == []


def test_class_names_are_imagenets():
    names = model_info("resnet18").class_names
    assert len(names) == len(set(names)) == 1000
    assert [names[i] for i in (0, 281, 999)] == ["tench", "tabby", "toilet tissue"]
    assert model_info("lenet5").class_names is None
    assert model_info("alexnet_bn").class_names is None


def test_the_crop_fraction_is_timms():
    assert model_info("resnet18").preprocessing.crop_fraction == 0.875


def test_weights_on_the_hub_are_those_of_torchvision():
    for name in list_models():
        weights = model_info(name).weights
        assert weights is None or weights.startswith("timm/"), name
    assert model_info("resnet50").weights == "timm/resnet50.tv_in1k"
    assert model_info("resnet50_v1").weights is None
