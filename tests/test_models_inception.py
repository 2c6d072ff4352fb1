"""GoogLeNet, the Inception line and network in network beyond what every network is tested for."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv import nn
from fastconv.models import create_model, model_info
from fastconv.models.googlenet import Inception, NaiveInception
from fastconv.models.head import loss_with_aux
from fastconv.models.inception import ConvBnRelu, Parallel
from fastconv.models.inception_v4 import Residual, block8, block17, block35
from tests.model_facts import FACTS, facts, layers, meta_input, traced
from tests.small_networks import images


def cost(module, shape):
    """(parameters, records, output shape) of one image."""
    with fc.Trace(meta=True) as trace:
        y = module(meta_input((1, *shape)))
    return sum(p.size for p in module.parameters()), trace.records, y.shape


# ---- the modules of figure 2

MODULES = {
    "inception_module_3a_paper": lambda: Inception(192, 64, 96, 128, 16, 32, 32),
    "inception_module_naive_3a_192in": lambda: NaiveInception(192, 64, 128, 32),
    "inception_module_naive_3b_416in": lambda: NaiveInception(416, 128, 192, 96),
    "inception_module_naive_cs231n": lambda: NaiveInception(256, 128, 192, 96),
    "inception_module_reduced_cs231n": lambda: Inception(256, 128, 64, 192, 64, 96, 64),
}


@pytest.mark.parametrize("name", MODULES)
def test_inception_modules_are_the_published_ones(name):
    published = FACTS[name]
    c, h, w = published["input"]
    with fc.Trace(meta=True):
        module = MODULES[name]()
    params, records, shape = cost(module, (h, w, c))
    assert params == published["params_trainable"]
    assert sum(r.macs for r in records) == published["macs"]
    c, h, w = published["output"]
    assert shape == (1, h, w, c)
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == published["details"]["conv_modules"]


def test_a_reduced_module_is_what_its_formula_says():
    module = Inception(6, 2, 3, 4, 2, 3, 5)
    x = images((2, 5, 4, 6))
    one, three, five, pool = module.branch1, module.branch3, module.branch5, module.pool
    expected = F.concat(
        [
            F.relu(one[0](x)),
            F.relu(three[1][0](F.relu(three[0][0](x)))),
            F.relu(five[1][0](F.relu(five[0][0](x)))),
            F.relu(pool[1][0](F.max_pool2d(x, 3, stride=1, padding=1))),
        ],
        axis=3,
    )
    np.testing.assert_array_equal(module(x).numpy(), expected.numpy())
    sizes = [m.kernel_size for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert sizes == [1, 1, 3, 1, 5, 1]


# ---- GoogLeNet


def test_googlenet_2014_with_auxiliary_heads_is_the_published_one():
    published = FACTS["googlenet_2014_with_aux"]
    with fc.Trace(meta=True) as trace:
        model = create_model("googlenet_2014", aux_heads=True)
        outputs = model(meta_input((1, 224, 224, 3)))
    assert [y.shape for y in outputs] == [(1, 1000)] * 3
    assert sum(p.size for p in model.parameters()) == published["params_trainable"] == 13_378_280
    assert sum(r.macs for r in trace.records) == published["macs"]
    dropout = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert dropout == published["details"]["dropout_p"]
    pools = [m for m in model.modules() if isinstance(m, nn.AvgPool2d)]
    assert [(m.kernel_size, m.stride) for m in pools] == [(5, 3)] * 2


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_cost_what_is_published(name):
    with fc.Trace(meta=True) as trace:
        model = create_model(name, aux_heads=True)
        model(meta_input((1, *model_info(name).input_shape)))
    assert sum(r.macs for r in trace.records) == facts(name)["macs_train_with_aux"]


@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014", "inception_v3"])
def test_eval_gives_logits_only_and_runs_no_head(name):
    with fc.Trace(meta=True) as trace:
        model = create_model(name, num_classes=4, aux_heads=True)
        shape = (2, *model_info(name).input_shape)
        training = model(meta_input(shape))
        heads = {m for m in model.modules() if type(m).__name__.startswith("Auxiliary")}
        assert len(training) == 1 + len(heads)
        del trace.records[:]
        assert model.eval()(meta_input(shape)).shape == (2, 4)
    below = {m for head in heads for m in head.modules()}
    assert not any(r.module in below for r in trace.records)
    assert sum(r.macs for r in trace.records) == 2 * (
        model_info(name).macs - 996 * model.fc.in_features
    )


def test_the_loss_weighs_auxiliary_heads_by_three_tenths():
    logits, aux1, aux2 = (images((3, 5), seed) for seed in (1, 2, 3))
    labels = fc.tensor(np.array([0, 4, 2]))
    main, first, second = (F.cross_entropy(y, labels).item() for y in (logits, aux1, aux2))
    assert loss_with_aux(logits, labels).item() == main
    total = loss_with_aux((logits, aux1, aux2), labels).item()
    np.testing.assert_allclose(total, main + 0.3 * (first + second), rtol=1e-6)
    assert create_model("googlenet", 5).loss(logits, labels).item() == main


def test_heads_read_the_outputs_of_4a_and_4d():
    model = create_model("googlenet", num_classes=3, aux_heads=True)
    x = images((2, 64, 64, 3))
    seen = {}
    for name in ("inception4a", "inception4d", "aux1", "aux2"):
        setattr(model, name, Noting(getattr(model, name), seen, name))
    model(x)
    np.testing.assert_array_equal(seen["aux1"][0], seen["inception4a"][1])
    np.testing.assert_array_equal(seen["aux2"][0], seen["inception4d"][1])


class Noting(nn.Module):
    """Keeps what goes into a module and what comes out."""

    def __init__(self, module, seen, name):
        super().__init__()
        self.module, self.name = module, name
        self.seen = seen

    def forward(self, x):
        y = self.module(x)
        self.seen[self.name] = (x.numpy(), y.numpy())
        return y


def test_the_summary_of_a_training_step_knows_auxiliary_heads():
    with fc.Trace(meta=True):
        plain, headed = (create_model("googlenet", aux_heads=heads) for heads in (False, True))
    peaks = [
        fc.analysis.summary(m, (4, 224, 224, 3), training=True).peak_bytes for m in (plain, headed)
    ]
    # weights and momentum of the heads are there all the time
    assert peaks[1] - peaks[0] > 2 * 4 * facts("googlenet")["params_of_aux"]


def test_googlenet_2014_starts_as_caffes():
    # 1024 classes: as many as the hidden units of a head
    model = create_model("googlenet_2014", num_classes=1024, aux_heads=True)
    for conv in (model.conv1, model.inception_3a.branch5[1][0]):
        assert (conv.bias.numpy() == np.float32(0.2)).all()
        bound = np.sqrt(3 / np.prod(conv.weight.shape[1:]))
        assert bound * 0.98 < abs(conv.weight.numpy()).max() <= bound
    for classifier in (model.fc, model.aux1.fc2, model.aux2.fc2):
        assert not classifier.bias.numpy().any()
    assert (model.aux1.fc1.bias.numpy() == np.float32(0.2)).all()


# ---- the Inception line


def test_parallel_concatenates_in_the_order_of_its_branches():
    x = images((1, 4, 4, 2))
    both = Parallel(b=nn.Identity(), a=nn.MaxPool2d(3, 1, 1))
    y = both(x).numpy()
    np.testing.assert_array_equal(y[..., :2], x.numpy())
    np.testing.assert_array_equal(y[..., 2:], F.max_pool2d(x, 3, stride=1, padding=1).numpy())


@pytest.mark.parametrize(
    ("size", "stride", "padding", "expected"),
    [(3, 1, None, (8, 9)), ((1, 7), 1, None, (8, 9)), (3, 2, None, (3, 4)), (3, 1, 0, (6, 7))],
)
def test_convolutions_are_padded_at_stride_1_only(size, stride, padding, expected):
    with fc.Trace(meta=True):
        y = ConvBnRelu(2, 3, size, stride, padding)(meta_input((1, 8, 9, 2)))
    assert y.shape == (1, *expected, 3)


@pytest.mark.parametrize(("block", "scale"), [(block35, 0.17), (block17, 0.1), (block8, 0.2)])
def test_residuals_of_inception_resnet_are_scaled(block, scale):
    block = block()
    channels = block.conv2d.out_channels
    x = images((1, 3, 3, channels))
    branches = [m(x) for m in list(block.children())[:-1]]
    y = x.numpy() + scale * block.conv2d(F.concat(branches, axis=3)).numpy()
    np.testing.assert_allclose(block(x).numpy(), np.maximum(y, 0), rtol=1e-5, atol=1e-6)
    assert block.conv2d.bias is not None


def test_inception_resnets_last_block_has_no_relu_and_is_not_scaled():
    blocks = layers("inception_resnet_v2", Residual)
    assert [b.scale for b in blocks] == [0.17] * 10 + [0.1] * 20 + [0.2] * 9 + [1.0]
    assert [b.relu for b in blocks] == [True] * 39 + [False]
    biased = [m for m in layers("inception_resnet_v2", nn.Conv2d) if m.bias is not None]
    assert biased == [b.conv2d for b in blocks]


def test_dropout_of_inception_v4_is_an_option():
    with fc.Trace(meta=True):
        model = create_model("inception_v4", dropout=0.2)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.2]


def test_inception_v3_starts_as_torchvisions():
    model = create_model("inception_v3", num_classes=50, aux_heads=True)
    for layer, std in (
        (model.Mixed_6b.branch7x7_1.conv, 0.1),
        (model.AuxLogits.conv1.conv, 0.01),
        (model.AuxLogits.fc, 0.001),
    ):
        w = layer.weight.numpy()
        # the mean square of n normal numbers has relative standard deviation sqrt(2/n)
        assert abs(np.mean(w**2) / std**2 - 1) < 5 * np.sqrt(2 / w.size)


def test_bn_inceptions_pass_through_modules():
    """3c and 4e: no 1x1 branch, stride 2, the pooled input itself at the end."""
    model, trace, _ = traced("bn_inception")
    for name, channels in (("3c", 320), ("4e", 608)):
        assert not hasattr(model, f"inception_{name}_1x1")
        assert not hasattr(model, f"inception_{name}_pool_proj")
        pooled = trace.shapes[getattr(model, f"inception_{name}_pool")]
        joined = trace.shapes[getattr(model, f"inception_{name}_output")]
        assert pooled[-1] == channels and joined[-1] == {"3c": 576, "4e": 1056}[name]


def test_input_of_googlenet_and_inception_v3_is_in_minus_one_to_one():
    """Their weights come from TensorFlow; torchvision moves ImageNet's normalisation to this."""
    for name in ("googlenet", "inception_v3"):
        assert (
            model_info(name).preprocessing.mean == model_info(name).preprocessing.std == (0.5,) * 3
        )


# ---- network in network, ZFNet, VGG-16 C


def test_nin_has_no_linear_layer():
    """Lecture 001: 1x1 convolutions, global average pooling in place of linear layers."""
    for name in ("nin_cifar10", "nin_cifar100", "nin_imagenet", "nin_d2l"):
        assert not layers(name, nn.Linear)
        sizes = [m.kernel_size for m in layers(name, nn.Conv2d)]
        assert sizes.count(1) == 2 * len(sizes) / 3


def test_a_logit_of_nin_is_the_mean_of_its_map():
    model = create_model("nin_cifar10").eval()
    x = images((2, 32, 32, 3))
    with fc.no_grad():
        maps = model.forward_features(x).numpy()
        logits = model(x).numpy()
    assert maps.shape == (2, 8, 8, 10) and maps.min() == 0  # a ReLU is last
    np.testing.assert_allclose(logits, maps.mean((1, 2)), rtol=1e-5)


def test_nin_pools_by_the_maximum_then_by_the_mean():
    kinds = [type(m).__name__ for m in layers("nin_cifar10", (nn.MaxPool2d, nn.AvgPool2d))]
    assert kinds == ["MaxPool2d", "AvgPool2d"]
    with fc.Trace(meta=True) as trace:  # dropout behind both of them, in training
        create_model("nin_cifar10")(meta_input((1, 32, 32, 3)))
    ran = [type(r.module).__name__ for r in trace.records]
    at = [i for i, kind in enumerate(ran) if kind == "Dropout"]
    assert [ran[i - 1] for i in at] == kinds


def test_zfnet_normalises_behind_the_poolings():
    kinds = [type(r.module).__name__ for r in traced("zfnet")[1].records]
    at = kinds.index("LocalResponseNorm")
    assert kinds[at - 1] == "MaxPool2d" and kinds.count("LocalResponseNorm") == 2


def test_vgg16_c_has_1x1_in_the_third_place():
    """Simonyan and Zisserman 2014, table 1: conv1-256, conv1-512, conv1-512."""
    one = [m for m in layers("vgg16_c", nn.Conv2d) if m.kernel_size == 1]
    assert [m.out_channels for m in one] == [256, 512, 512] and {m.padding for m in one} == {0}
    assert len(layers("vgg16_bn_cifar", nn.Linear)) == 1
