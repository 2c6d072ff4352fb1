"""Modules: what they own, how they move and print, and that each layer is its function."""

import copy

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv import nn
from fastconv.errors import ArgumentError, MetaError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", np.arange(3, dtype="float32"))
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.scale = nn.Parameter(np.ones(4, "float32"))
        self.bn = nn.BatchNorm2d(4)
        self.shortcut = None

    def forward(self, x):
        return self.bn(self.conv(x)) * self.scale


def image(*shape, dtype="float32", seed=0):
    return fc.tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


# ---- what a module owns


def test_parameters_come_in_order_of_definition_own_before_children():
    names = [name for name, _ in Block().named_parameters()]
    assert names == ["scale", "conv.weight", "conv.bias", "bn.weight", "bn.bias"]


def test_buffers_are_in_the_state_but_are_no_parameters():
    block = Block()
    names = [name for name, _ in block.named_buffers()]
    assert names == ["table", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
    assert not any(b.requires_grad for b in block.buffers())
    assert set(names) < set(block.state_dict())


def test_a_buffer_that_is_not_persistent_is_not_in_the_state():
    block = Block()
    block.register_buffer("scratch", np.zeros(2, "float32"), persistent=False)
    assert "scratch" in dict(block.named_buffers())
    assert "scratch" not in block.state_dict()


def test_modules_are_named_by_their_path():
    outer = nn.Sequential(Block(), nn.ReLU())
    names = [name for name, _ in outer.named_modules()]
    assert names == ["", "0", "0.conv", "0.bn", "1"]
    assert [name for name, _ in outer.named_children()] == ["0", "1"]


def test_shared_modules_and_parameters_come_once_but_keep_both_names_in_the_state():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(model.parameters())) == 2
    assert len(list(model.modules())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_plain_list_of_modules_is_refused():
    block = Block()
    with pytest.raises(ArgumentError, match=r"Block\.layers.*ModuleList"):
        block.layers = [nn.ReLU(), nn.ReLU()]


def test_a_parameter_is_not_overwritten_by_an_array():
    block = Block()
    with pytest.raises(ArgumentError, match=r"scale is a Parameter.*copy_"):
        block.scale = np.ones(4, "float32")
    block.scale = None
    assert "scale" not in dict(block.named_parameters())


def test_parameters_own_their_memory():
    values = np.ones(3, "float32")
    p = nn.Parameter(values)
    values[:] = 7
    assert p.tolist() == [1, 1, 1]


def test_deepcopy_is_independent():
    block = Block()
    block.scale.requires_grad = False
    other = copy.deepcopy(block)
    other.scale.copy_(5)
    assert block.scale.tolist() == [1, 1, 1, 1]
    assert not other.scale.requires_grad
    assert other.conv.weight is not block.conv.weight
    assert np.array_equal(other.conv.weight.data, block.conv.weight.data)


def test_module_list_and_sequential_behave_as_lists():
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers.append(nn.Sigmoid())
    assert len(layers) == 3
    assert [type(m) for m in layers] == [nn.ReLU, nn.Tanh, nn.Sigmoid]
    assert isinstance(layers[-1], nn.Sigmoid)
    assert [type(m) for m in nn.Sequential(*layers)[1:]] == [nn.Tanh, nn.Sigmoid]
    layers[0] = nn.Identity()
    assert isinstance(layers[0], nn.Identity)
    with pytest.raises(ArgumentError, match=r"entry 0 must be an nn\.Module"):
        nn.Sequential([nn.ReLU()])


# ---- modes


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(Block(), nn.Dropout())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())


def test_freeze_stops_gradients_and_unfreeze_gives_them_back():
    block = Block()
    block.conv.freeze()
    F.sum(block(image(2, 5, 5, 3))).backward()
    assert block.conv.weight.grad is None
    assert block.scale.grad is not None
    block.unfreeze()
    F.sum(block(image(2, 5, 5, 3))).backward()
    assert block.conv.weight.grad is not None
    block.freeze()
    assert all(p.grad is None for p in block.parameters())
    assert not block(image(2, 5, 5, 3)).requires_grad


def test_zero_grad():
    block = Block()
    F.sum(block(image(2, 5, 5, 3))).backward()
    assert all(p.grad is not None for p in block.parameters())
    assert block.zero_grad() is block
    assert all(p.grad is None for p in block.parameters())


def test_apply_visits_children_first():
    seen = []
    nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).apply(lambda m: seen.append(type(m)))
    assert seen == [nn.ReLU, nn.Tanh, nn.Sequential, nn.Sequential]


def test_astype_casts_parameters_and_statistics_but_not_counters():
    block = Block().astype("float64")
    assert {p.dtype.name for p in block.parameters()} == {"float64"}
    assert block.bn.running_var.dtype == np.float64
    assert block.bn.num_batches_tracked.dtype == np.int64
    assert block(image(2, 4, 4, 3, dtype="float64")).dtype == np.float64
    with pytest.raises(ArgumentError, match="floating-point"):
        block.astype("int32")


def test_to_cpu_keeps_the_parameters():
    block = Block()
    before = block.conv.weight
    assert block.to("cpu") is block
    assert block.conv.weight is before
    with pytest.raises(ArgumentError, match="device must be"):
        block.to("tpu")


# ---- Trace


def test_a_trace_knows_the_innermost_module():
    block = Block().eval()
    with fc.Trace() as trace:
        block(image(1, 4, 4, 3))
    assert [r.module for r in trace.records] == [block.conv, block.bn, block]
    assert trace.modules == []


def test_modules_leave_the_trace_when_forward_fails():
    with fc.Trace() as trace, pytest.raises(fc.errors.ShapeError):
        Block()(image(1, 4, 4, 5))
    assert trace.modules == []


def test_meta_parameters_have_no_values_and_take_no_random_numbers():
    fc.manual_seed(3)
    expected = nn.Linear(4, 4).weight.tolist()
    fc.manual_seed(3)
    with fc.Trace(meta=True) as trace:
        meta = Block()
        y = meta(fc.tensor(np.zeros((2, 8, 8, 3), "float32")))
    assert y.shape == (2, 8, 8, 4)
    assert trace.live_by_kind["parameter"] == 4 * (3 * 3 * 3 * 4 + 4 + 4 + 4 + 4)
    assert trace.live_by_kind["state"] == 4 * (3 + 4 + 4) + 8
    with pytest.raises(MetaError):
        meta.state_dict()
    with pytest.raises(MetaError, match="outside the meta Trace"):
        meta.load_state_dict(Block().state_dict())
    fc.manual_seed(3)
    with fc.Trace(meta=True):
        Block()
    assert nn.Linear(4, 4).weight.tolist() == expected


# ---- layers are their functions


def test_conv2d_layer():
    conv = nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2, bias=False)
    x = image(2, 9, 9, 4)
    expected = F.conv2d(x, conv.weight, None, 2, (1, 0), (1, 2), 2)
    assert np.array_equal(conv(x).data, expected.data)
    assert conv.weight.shape == (6, 3, 2, 2)
    assert repr(conv) == (
        "Conv2d(4, 6, kernel_size=(3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2,"
        " bias=False)"
    )


def test_depthwise_and_separable_convolutions():
    layer = nn.SeparableConv2d(4, 10, 3, padding="same")
    assert layer.depthwise.weight.shape == (4, 3, 3, 1)
    assert layer.depthwise.bias is None
    assert layer.pointwise.weight.shape == (10, 1, 1, 4)
    assert layer(image(1, 5, 5, 4)).shape == (1, 5, 5, 10)
    assert nn.DepthwiseConv2d(4, 3, multiplier=2).weight.shape == (8, 3, 3, 1)


def test_transposed_convolution_inverts_the_shape():
    up = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
    assert up.weight.shape == (6, 3, 3, 2)
    assert up(image(2, 5, 5, 6)).shape == (2, 10, 10, 4)


def test_linear_takes_the_shape_of_a_flattened_map():
    linear = nn.Linear((2, 3, 4), 5)
    assert linear.weight.shape == (5, 24)
    assert linear(nn.Flatten()(image(2, 2, 3, 4))).shape == (2, 5)
    assert repr(linear) == "Linear((2, 3, 4), 5)"


def test_flatten_takes_an_empty_batch():
    assert nn.Flatten()(image(0, 2, 3, 4)).shape == (0, 24)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: nn.Conv2d(4, 6, 3, groups=4), r"groups=4 must divide.*out_channels=6"),
        (lambda: nn.Conv2d(0, 6, 3), "in_channels must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 6, 0), "kernel_size must be at least 1, got 0"),
        (lambda: nn.Linear(0, 6), "in_features"),
        (lambda: nn.BatchNorm2d(0), "num_features"),
        (lambda: nn.MaxPool2d(0), "kernel_size"),
        (lambda: nn.Dropout(1.5), r"p must be in \[0, 1\), got 1.5"),
        (lambda: nn.SqueezeExcitation(8, 2, gate="nope"), "gate must name a function"),
        (lambda: nn.PartialConv2d(3, [(0, 3)], 5), r"table\[0\]"),
        (lambda: nn.RBF(np.zeros(3)), r"2 axes.*got shape \(3,\)"),
    ],
)
def test_wrong_arguments_are_named(build, text):
    with pytest.raises(ArgumentError, match=text):
        build()


def test_batch_norm_follows_the_batches():
    bn = nn.BatchNorm2d(3)
    x = image(4, 5, 5, 3)
    y = bn(x).data
    assert abs(y.mean(axis=(0, 1, 2))).max() < 1e-6
    flat = x.data.reshape(-1, 3).astype("float64")
    np.testing.assert_allclose(bn.running_mean.data, 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(bn.running_var.data, 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    assert bn.num_batches_tracked.item() == 1
    bn.eval()
    before = bn.running_mean.data.copy()
    bn(x)
    assert np.array_equal(bn.running_mean.data, before)
    assert bn.num_batches_tracked.item() == 1


def test_batch_norm_without_momentum_averages_all_batches():
    bn = nn.BatchNorm2d(2, momentum=None)
    batches = [image(3, 4, 4, 2, seed=s) for s in range(3)]
    for x in batches:
        bn(x)
    means = [x.data.astype("float64").mean(axis=(0, 1, 2)) for x in batches]
    np.testing.assert_allclose(bn.running_mean.data, np.mean(means, axis=0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("act", [None, "relu", "silu"])
@pytest.mark.parametrize("with_residual", [False, True])
def test_fused_conv_bn_act_is_the_modules_one_after_the_other(training, act, with_residual):
    def build():
        fc.manual_seed(5)
        conv, bn = nn.Conv2d(3, 4, 3, padding=1, bias=True), nn.BatchNorm2d(4)
        bn.weight.copy_([0.5, 1, 1.5, 2])
        bn.running_var.copy_([0.5, 1, 2, 3])
        bn.running_mean.copy_([-1, 0, 1, 2])
        return nn.Sequential(conv, bn).astype("float64").train(training)

    fused, plain = build(), build()
    x = image(2, 6, 6, 3, dtype="float64")
    residual = image(2, 6, 6, 4, dtype="float64", seed=1) if with_residual else None
    y = nn.conv_bn_act(x, fused[0], fused[1], act, residual)
    z = plain(x)
    z = z if residual is None else z + residual
    z = z if act is None else getattr(F, act)(z)
    np.testing.assert_allclose(y.data, z.data, rtol=1e-12, atol=1e-12)
    F.sum(y * y).backward()
    F.sum(z * z).backward()
    for (name, p), q in zip(fused.named_parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad.data, rtol=1e-9, atol=1e-9, err_msg=name)
    for key, value in fused.state_dict().items():
        np.testing.assert_allclose(value, plain.state_dict()[key], rtol=1e-12, err_msg=key)


def test_fused_conv_bn_act_is_booked_under_the_convolution():
    conv, bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    with fc.Trace() as trace:
        nn.conv_bn_act(image(1, 5, 5, 3), conv, bn, "relu")
    assert trace.records[0].module is conv
    assert trace.modules == []
    with pytest.raises(ArgumentError, match="Linear"):
        nn.conv_bn_act(image(1, 5, 5, 3), nn.Linear(3, 4), bn)


def test_local_response_norm_tells_torch_from_the_paper():
    x = image(1, 2, 2, 8)
    square = np.pad(x.data.astype("float64") ** 2, [(0, 0)] * 3 + [(2, 2)])
    total = sum(square[..., i : i + 8] for i in range(5))
    torch = x.data / (1 + 1e-2 / 5 * total) ** 0.75
    paper = x.data / (2 + 1e-2 * total) ** 0.75
    np.testing.assert_allclose(nn.LocalResponseNorm(5, 1e-2)(x).data, torch, rtol=1e-5)
    np.testing.assert_allclose(nn.LocalResponseNorm.paper(alpha=1e-2)(x).data, paper, rtol=1e-5)


def test_layer_norm_normalises_the_last_axis():
    norm = nn.LayerNorm(6)
    y = norm(image(2, 3, 3, 6)).data
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-3)
    y = nn.LayerNorm((3, 6), affine=False)(image(2, 3, 3, 6)).data
    np.testing.assert_allclose(y.mean((-2, -1)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((-2, -1)), 1, rtol=1e-3)


def test_pooling_layers():
    x = image(2, 8, 8, 3)
    for layer, expected in [
        (nn.MaxPool2d(2), F.max_pool2d(x, 2)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), F.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
        (
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        ),
        (nn.AdaptiveAvgPool2d((2, 3)), F.adaptive_avg_pool2d(x, (2, 3))),
        (nn.AdaptiveMaxPool2d(2), F.adaptive_max_pool2d(x, 2)),
    ]:
        assert np.array_equal(layer(x).data, expected.data), layer
    assert nn.GlobalAvgPool2d()(x).shape == (2, 3)
    np.testing.assert_allclose(nn.GlobalAvgPool2d()(x).data, x.data.mean(axis=(1, 2)), atol=1e-6)


ACTIVATIONS = {
    nn.ReLU(): F.relu,
    nn.ReLU6(): F.relu6,
    nn.LeakyReLU(0.2): lambda x: F.leaky_relu(x, 0.2),
    nn.ELU(0.5): lambda x: F.elu(x, 0.5),
    nn.SiLU(): F.silu,
    nn.Hardswish(): F.hardswish,
    nn.Hardsigmoid(): F.hardsigmoid,
    nn.GELU(): F.gelu,
    nn.Sigmoid(): F.sigmoid,
    nn.Tanh(): F.tanh,
    nn.ScaledTanh(): F.scaled_tanh,
    nn.Softmax(): F.softmax,
    nn.Softmax(axis=1): lambda x: F.softmax(x, axis=1),
    nn.LogSoftmax(): F.log_softmax,
}


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_activation_layers(layer):
    x = image(2, 3, 3, 4) * 4
    assert np.array_equal(layer(x).data, ACTIVATIONS[layer](x).data)


def test_dropout_acts_in_training_only_and_repeats_with_the_seed():
    drop = nn.Dropout(0.5)
    x = fc.tensor(np.ones((64, 64), "float32"))
    fc.manual_seed(1)
    first = drop(x).data
    fc.manual_seed(1)
    assert np.array_equal(drop(x).data, first)
    assert set(np.unique(first)) == {0, 2}
    assert drop.eval()(x) is x


def test_drop_path_drops_whole_images():
    fc.manual_seed(0)
    y = nn.DropPath(0.5)(fc.tensor(np.ones((64, 3, 3, 2), "float32"))).data
    assert all(len(np.unique(image)) == 1 for image in y)
    assert set(np.unique(y)) == {0, 2}


def test_squeeze_excitation_weights_channels():
    se = nn.SqueezeExcitation(6, 2, activation="silu", gate="hardsigmoid")
    x = image(2, 4, 4, 6)
    s = F.hardsigmoid(se.fc2(F.silu(se.fc1(F.adaptive_avg_pool2d(x, 1)))))
    np.testing.assert_allclose(se(x).data, x.data * s.data, rtol=1e-6)


def test_upsample_and_channel_shuffle():
    x = image(1, 2, 2, 4)
    nearest = nn.Upsample(scale_factor=2)(x).data
    assert np.array_equal(nearest, x.data.repeat(2, 1).repeat(2, 2))
    assert nn.Upsample(size=(5, 3), mode="bilinear")(x).shape == (1, 5, 3, 4)
    assert nn.ChannelShuffle(2)(x).data[0, 0, 0].tolist() == x.data[0, 0, 0, [0, 2, 1, 3]].tolist()


# ---- LeNet-5 of 1998


def test_trainable_subsampling():
    layer = nn.TrainableSubsampling(3)
    x = image(2, 4, 6, 3)
    sums = x.data.reshape(2, 2, 2, 3, 2, 3).sum(axis=(2, 4))
    expected = sums * layer.weight.data + layer.bias.data
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)
    assert sum(p.size for p in layer.parameters()) == 6


def test_partial_convolution_reads_only_its_table():
    table = [(0, 2), (1,), (0, 1, 2)]
    layer = nn.PartialConv2d(3, table, 2)
    assert layer.weight.shape == (6, 2, 2)
    x = image(2, 4, 4, 3)
    dense = np.zeros((3, 2, 2, 3), "float32")
    connections = iter(layer.weight.data)
    for k, maps in enumerate(table):
        for c in maps:
            dense[k, :, :, c] = next(connections)
    expected = F.conv2d(x.data, dense, layer.bias.data)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)
    F.sum(layer(x)).backward()
    assert layer.weight.grad.shape == (6, 2, 2)


def test_rbf_measures_squared_distances_to_fixed_centers():
    centers = np.array([[1, -1, 1], [-1, 1, 1]], "float32")
    rbf = nn.RBF(centers)
    x = image(4, 3)
    expected = ((x.data[:, None] - centers) ** 2).sum(-1)
    np.testing.assert_allclose(rbf(x).data, expected, rtol=1e-5)
    assert list(rbf.parameters()) == []
    assert list(rbf.state_dict()) == ["centers"]


# ---- repr


def test_repr_is_nested():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 2, kernel_size=3)\n"
        "  (1): Sequential(\n"
        "    (0): BatchNorm2d(2, eps=1e-05, momentum=0.1)\n"
        "    (1): ReLU()\n"
        "  )\n"
        ")"
    )


def test_repr_of_parameters_and_buffers():
    assert repr(nn.Parameter(np.ones(1, "float32"))).startswith("Parameter tensor([1.]")
    assert repr(nn.Buffer(np.ones(1, "float32"))).startswith("Buffer tensor([1.]")
