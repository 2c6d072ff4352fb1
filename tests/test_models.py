"""Every registered network against the published facts in tests/data, without computing anything.

Equal parameter counts do not prove equal networks, so multiply-accumulates, stage shapes, details
of the layers and checkpoint keys are compared too. Facts are [C, H, W], ours (N, H, W, C).
"""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.backend import table_for
from fastconv.errors import ArgumentError, RegistryError, UnknownModelError
from fastconv.models import create_model, list_models, model_info
from fastconv.models.registry import register
from fastconv.models.resnet import BasicBlock, ResNet
from fastconv.models.vgg import BLOCKS, VGG
from fastconv.nn.state_dict import named_state
from tests.model_facts import (
    CHECKPOINTS,
    KERAS_ALEXNET_BN,
    facts,
    family_says,
    layers,
    meta_input,
    stages,
    traced,
)
from tests.small_networks import SMALL, check_step, images

MODELS = list_models()


# ---- parameters, multiply-accumulates, shapes, details


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_the_published_ones(name):
    counted = sum(p.size for p in traced(name)[0].parameters())
    published = KERAS_ALEXNET_BN if name == "alexnet_bn" else facts(name)
    assert counted == published["params_trainable"]
    assert model_info(name).params == counted - published.get("params_of_aux", 0)


@pytest.mark.parametrize("name", [n for n in MODELS if "params_of_aux" in facts(n)])
def test_auxiliary_heads_are_an_option(name):
    with fc.Trace(meta=True):
        without = create_model(name)
    assert sum(p.size for p in without.parameters()) == facts(name)["params_without_aux"]


@pytest.mark.parametrize("name", MODELS)
def test_macs_are_the_published_ones(name):
    counted = sum(r.macs for r in traced(name)[1].records)
    assert counted == model_info(name).macs == facts(name)["macs"]


@pytest.mark.parametrize("name", MODELS)
def test_every_stage_has_the_published_shape(name):
    model, trace, y = traced(name)
    ours = {path: trace.shapes.get(m) for path, m in model.named_modules()}
    for path, shape in stages(name):
        assert ours[path] == shape, path
    c, h, w = facts(name)["input"]
    assert model_info(name).input_shape == (h, w, c)
    classes, *rest = facts(name)["output"]
    assert y == (1, classes) and set(rest) <= {1}


def described(pool):
    sides = {"k": pool.kernel_size, "s": pool.stride, "p": pool.padding}
    described = {"type": type(pool).__name__, **sides, "ceil_mode": pool.ceil_mode}
    if isinstance(pool, nn.AvgPool2d):
        described["count_include_pad"] = pool.count_include_pad
    return described


def same_padded(pool):
    """timm's own kind of pooling that pads as TensorFlow's "same" does, in our words."""
    if not pool["type"].endswith("Same"):
        return pool
    return pool | {"type": pool["type"][:-4], "p": "same"}


def as_key(pool):
    return tuple(sorted(pool.items()))


def counted_pools(published):
    """Published poolings as a Counter, sides as single numbers."""
    counts = Counter()
    for pool in map(same_padded, published):
        plain = {k: v[0] if isinstance(v, list) else v for k, v in pool.items() if k != "n"}
        counts[as_key(plain)] += pool["n"]
    return counts


# the 1998 network's layers are of other kinds; tests/test_lenet.py looks at them
@pytest.mark.parametrize("name", [n for n in MODELS if n != "lenet5_1998"])
def test_details_are_the_published_ones(name):
    published = facts(name)["details"]
    convs = layers(name, nn.Conv2d)
    pools = Counter(as_key(described(m)) for m in layers(name, (nn.MaxPool2d, nn.AvgPool2d)))
    if window := family_says(name, "GLOBAL_POOL"):
        assert [m.output_size for m in layers(name, nn.AdaptiveAvgPool2d)] == [1]
        pools[as_key(described(nn.AvgPool2d(window)))] += 1

    assert len(convs) == published["conv_modules"]
    assert sum(m.bias is not None for m in convs) == published["conv_with_bias"]
    assert sum(1 < m.groups < m.in_channels for m in convs) == published["grouped_convs"]
    depthwise = sum(1 < m.groups == m.in_channels for m in convs)
    assert depthwise == published.get("depthwise_convs", 0)
    assert len(layers(name, nn.Linear)) == published["linear_modules"]
    dropped = [p for p in published.get("dropout_p", []) if p]
    assert [m.p for m in layers(name, nn.Dropout) if m.p] == dropped
    assert pools == counted_pools(published.get("pools", []))
    assert [(m.size, m.alpha, m.beta, m.k) for m in layers(name, nn.LocalResponseNorm)] == [
        (lrn["size"], lrn["alpha"], lrn["beta"], lrn["k"])
        for lrn in published.get("lrn", [])
        for _ in range(lrn["n"])
    ]
    # the facts count modules, we count calls: a ResNet block calls one ReLU several times, and the
    # Inception networks call a function
    shared = model_info(name).family in ("resnet", "resnext", "wide_resnet")
    if name in CHECKPOINTS and not shared and "activations" in published:
        acts = [r.fields["act"].name for r in traced(name)[1].records if "act" in r.fields]
        called = Counter(act for act in acts if act != "identity")
        # torchvision applies DenseNet's last one by a function, not by a module
        called -= Counter(relu=model_info(name).family == "densenet")
        assert called == {kind.lower(): n for kind, n in published["activations"].items()}


@pytest.mark.parametrize("name", MODELS)
def test_batch_norms_are_the_published_ones(name):
    norms = Counter((m.eps, m.momentum) for m in layers(name, nn.BatchNorm2d))
    if name == "alexnet_bn":
        (keras,) = KERAS_ALEXNET_BN["batchnorm"]
        assert norms == {(keras["eps"], round(1 - keras["keras_momentum"], 9)): keras["n"]}
        running = [m.running_mean.size + m.running_var.size for m in layers(name, nn.BatchNorm2d)]
        assert sum(running) == KERAS_ALEXNET_BN["params_non_trainable"]
    else:
        published = facts(name)["details"].get("batchnorm", [])
        assert norms == {(b["eps"], b["momentum"]): b["n"] for b in published}


@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("lenet5_1998", "alexnet_bn")])
def test_buffers_and_state_entries_are_the_published_ones(name):
    model = traced(name)[0]
    assert sum(b.size for b in model.buffers()) == facts(name)["buffers"]["elements"]
    assert len(list(named_state(model))) == facts(name)["state_dict_entries"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoint_keys_are_torchvisions(name):
    """Keys in order, and shapes as OIHW."""
    ours = {}
    for key, module, attribute, tensor in named_state(traced(name)[0]):
        view = module.torch_view(attribute)
        ours[key] = list(tensor.shape if view is None else view.shape)
    assert list(ours.items()) == list(json.loads(CHECKPOINTS[name].read_text()).items())


def weighing(trace):
    """The records of layers that have weights, in order."""
    return [r for r in trace.records if r.name in ("Linear", "RBF", "Conv2d", "ConvBnAct")]


@pytest.mark.parametrize("name", MODELS)
def test_linear_layers_after_a_map_say_its_shape(name):
    """Without it PyTorch's weights would load in the wrong order, and no shape would tell."""
    _, trace, _ = traced(name)
    maps = [r.outputs[0][0] for r in trace.records if len(r.outputs[0][0]) == 4]
    _, h, w, c = maps[-1]
    if layers(name, nn.GlobalAvgPool2d):  # gives no map: (N, C)
        h = w = 1
    # the first that has run on vectors: those on maps are a block's
    linear = [r.module for r in trace.records if isinstance(r.module, nn.Linear)]
    if not linear:
        assert weighing(trace)[-1].name == "Conv2d"  # its classifier
        return
    first = next(module for module in linear if len(trace.shapes[module]) == 2)
    assert first.in_features == h * w * c
    assert h * w == 1 or first.in_map == (h, w, c)


def test_torch_state_dict_has_torchvisions_keys_and_shapes():
    """The arrays that are handed out, not only the plan for them."""
    arrays = fc.to_torch_state_dict(create_model("resnet18"))
    published = json.loads(CHECKPOINTS["resnet18"].read_text())
    assert {key: list(a.shape) for key, a in arrays.items()} == published


@pytest.mark.parametrize("name", MODELS)
def test_classes_and_input_channels_are_respected(name):
    with fc.Trace(meta=True):
        model = create_model(name, num_classes=7, in_channels=5)
        h, w, _ = model_info(name).input_shape
        assert model(meta_input((2, h, w, 5))).shape == (2, 7)


@pytest.mark.parametrize("name", MODELS)
def test_without_classes_it_gives_the_features_of_its_classifier(name):
    """num_classes=0: what the last linear layer would read; the maps come before it.

    Where the classifier is a convolution: the mean of the maps that it would read.
    """
    model, trace, _ = traced(name)
    with fc.Trace(meta=True):
        x = meta_input((1, *model_info(name).input_shape))
        features = create_model(name, num_classes=0)(x)
        maps = model.forward_features(x)
    read = weighing(trace)[-1].inputs[0][0]
    if name == "nin_d2l":  # its last three convolutions have a filter per class
        read = weighing(trace)[-3].inputs[0][0]
    assert features.shape == (1, read[-1])
    assert len(maps.shape) == 4 and maps.shape[0] == 1


def test_lineage_names_architectures_that_there_are():
    architectures = {model_info(name).architecture for name in MODELS}
    names = [a.name for a in architectures]
    assert len(names) == len(set(names))
    for a in architectures:
        assert set(a.descends_from) <= set(names) - {a.name}, a.name
        assert a.title and a.authors and a.link and a.introduced
        older = [b.year for b in architectures if b.name in a.descends_from]
        assert all(year <= a.year for year in older), a.name


def test_a_network_knows_its_entry():
    assert create_model("vgg11_cifar").info is model_info("vgg11_cifar")
    assert fc.models.lenet5().info.architecture.year == 1998
    assert list_models("*_bn", family="vgg") == ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    with pytest.raises(ArgumentError, match=r"no family 'vgg16'; there are alexnet, .*vgg"):
        list_models(family="vgg16")


def test_meta_models_take_no_memory(monkeypatch):
    """60 million parameters and their activations, without an array of them."""

    def refuse(*args, **kwargs):
        raise AssertionError("a backend allocated memory inside a meta Trace")

    monkeypatch.setattr(table_for([]), "empty", refuse)
    tracemalloc.start()
    try:
        with fc.Trace(meta=True) as trace:
            model = create_model("resnet152")
            model(meta_input((256, 224, 224, 3)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert trace.peak_bytes > 2**35
    assert peak < 2**22


# ---- the registry


def test_names_are_found_by_pattern():
    assert list_models("resnet*_v1") == ["resnet101_v1", "resnet152_v1", "resnet50_v1"]
    assert list_models("nothing*") == []
    assert fc.models.resnet50 is model_info("resnet50").build
    assert model_info("vgg16").family == "vgg"


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownModelError, match=r"no model 'resnet5'.*resnet50"):
        create_model("resnet5")
    with pytest.raises(UnknownModelError, match=r"list_models\(\)"):
        create_model("qqqqqq")


def test_a_name_is_registered_once():
    with pytest.raises(RegistryError, match=r"'lenet5' is there already, by fastconv\.models"):

        @register(model_info("lenet5").architecture, params=0, macs=0, source="a test")
        def lenet5():
            pass

    assert model_info("lenet5").params == 61_706


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_classes": -1}, "num_classes must be an int of at least 0, got -1"),
        ({"in_channels": 1.5}, "in_channels must be an int of at least 1, got 1.5"),
        ({"pooling": "avg"}, "resnet18 has no option 'pooling', it has num_classes, in_channels"),
    ],
)
def test_wrong_options_are_named(options, text):
    with pytest.raises(ArgumentError, match=text):
        create_model("resnet18", **options)


# ---- real numbers


@pytest.mark.parametrize("name", SMALL)
def test_forward_and_backward_of_every_kind(name):
    check_step(*SMALL[name]())


@pytest.mark.full
@pytest.mark.usefixtures("room_for_large_networks")
@pytest.mark.parametrize("name", MODELS)
def test_forward_and_backward_of_every_network(name):
    h, w, c = model_info(name).input_shape
    check_step(create_model(name), (2, h, w, c))


@pytest.mark.parametrize("training", [True, False])
def test_a_resnet_deepened_by_identity_blocks_equals_the_shallower(training):
    """The lectures' construction: a deeper network can do what the shallower does, bit for bit."""
    shallow = ResNet(BasicBlock, (2, 2, 2, 2), num_classes=10)
    deep = ResNet(BasicBlock, (3, 4, 6, 3), num_classes=10, zero_init_residual=True)
    blocks = dict(deep.named_modules())
    for i in (1, 2, 3, 4):
        for j, block in enumerate(getattr(shallow, f"layer{i}")):
            blocks[f"layer{i}.{j}"].load_state_dict(block.state_dict())
    for part in ("conv1", "bn1", "fc"):
        getattr(deep, part).load_state_dict(getattr(shallow, part).state_dict())
    x = images((2, 64, 64, 3))
    ys = [m.train(training)(x).numpy() for m in (shallow, deep)]
    np.testing.assert_array_equal(*ys)
    assert ys[0].any()


def test_the_extra_blocks_of_that_network_learn():
    """Identity at the start only: gamma of a zero-initialised branch gets a gradient."""
    model = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=10, zero_init_residual=True)
    loss = fc.functional.cross_entropy(model(images((2, 32, 32, 3))), fc.tensor(np.array([1, 2])))
    loss.backward()
    gamma = model.layer1[0].bn2.weight
    assert not gamma.numpy().any() and gamma.grad.numpy().any()


def test_convolutions_start_by_hes_rule_and_the_rest_as_torchvision():
    model = create_model("resnet18")
    w = model.layer2[0].conv1.weight.numpy()  # 64 to 128 channels: fan-in is not fan-out
    k, r, s, _ = w.shape
    # the mean square of n normal numbers has relative standard deviation sqrt(2/n): 5 of them
    assert abs(np.mean(w**2) * k * r * s / 2 - 1) < 5 * np.sqrt(2 / w.size)
    assert abs(w.mean()) < 5 * np.sqrt(2 / (k * r * s) / w.size)
    bound = 1 / np.sqrt(512)
    assert bound * 0.99 < abs(model.fc.weight.numpy()).max() <= bound
    zeroed = create_model("resnet18", zero_init_residual=True)
    for block in (m for m in zeroed.modules() if isinstance(m, BasicBlock)):
        assert not block.bn2.weight.numpy().any() and block.bn1.weight.numpy().all()
    assert all(m.bn2.weight.numpy().all() for m in model.modules() if isinstance(m, BasicBlock))


def test_vgg_starts_as_torchvisions():
    model = VGG(BLOCKS[11], True, 5, map_size=1, hidden=64)
    for m in model.modules():
        if isinstance(m, nn.Linear):
            w = m.weight.numpy()
            assert abs(np.mean(w**2) / 1e-4 - 1) < 5 * np.sqrt(2 / w.size)
        if isinstance(m, nn.Linear | nn.Conv2d):
            assert not m.bias.numpy().any()
