"""Networks that neither torchvision nor timm has, against restatements in PyTorch, in float64:
ShuffleNet v1 as in the paper and as in its authors' code, DenseNet for CIFAR with and without BC.

Logits in eval, loss, and the gradients of the input and of every parameter. The restatements have
our attribute names, so that the weights travel by name; batch norm stands away from 1, 0.
"""

from collections import OrderedDict

import numpy as np
import pytest

import fastconv as fc
from fastconv.models.densenet import DenseNet
from fastconv.models.shufflenet_v1 import ShuffleNetV1

torch = pytest.importorskip("torch")
tnn = torch.nn
F = torch.nn.functional

pytestmark = pytest.mark.peers


class Holder(tnn.Module):
    """A torch twin: layers by attribute, forward by a function of it and x."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.run(self, x)


def conv(c, k, size=1, stride=1, groups=1):
    return tnn.Conv2d(c, k, size, stride, size // 2, groups=groups, bias=False)


# ---- ShuffleNet v1


def shuffled(x, g):
    """Zhang et al. 2017: reshape to (g, n), transpose, flatten."""
    n, c, h, w = x.shape
    return x.view(n, g, c // g, h, w).transpose(1, 2).reshape(n, c, h, w)


def unit(c, k, stride, groups, first_groups, megvii):
    def forward(m, x):
        y = F.relu(m.bn1(m.conv1(x)))
        if megvii:
            y = m.bn2(m.conv2(y))
            n, c, h, w = y.shape
            y = y.reshape(n, c // groups, groups, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)
        else:
            y = m.bn2(m.conv2(shuffled(y, groups)))
        y = m.bn3(m.conv3(y))
        if stride == 1:
            return F.relu(x + y)
        return F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1))

    middle, grown = k // 4, k - c if stride == 2 else k
    return Holder(
        forward,
        conv1=conv(c, middle, groups=first_groups),
        bn1=tnn.BatchNorm2d(middle),
        conv2=conv(middle, middle, 3, stride, middle),
        bn2=tnn.BatchNorm2d(middle),
        conv3=conv(middle, grown, groups=groups),
        bn3=tnn.BatchNorm2d(grown),
    )


def shufflenet_v1(groups, widths, stem, megvii, classes):
    layers, c = {}, stem
    for i, (width, repetitions) in enumerate(zip(widths, (4, 8, 4))):
        units = []
        for j in range(repetitions):
            first = 1 if (i, j) == (0, 0) else groups
            units.append(unit(c, width, 2 if j == 0 else 1, groups, first, megvii))
            c = width
        layers[f"stage{i + 2}"] = tnn.Sequential(*units)

    def forward(m, x):
        x = F.max_pool2d(F.relu(m.conv1(x)), 3, 2, 1)
        return m.fc(m.stage4(m.stage3(m.stage2(x))).mean((2, 3)))

    stem_layers = tnn.Sequential(conv(3, stem, 3, 2), tnn.BatchNorm2d(stem))
    return Holder(forward, conv1=stem_layers, **layers, fc=tnn.Linear(c, classes, bias=not megvii))


# ---- DenseNet for CIFAR


def dense_layer(c, growth, bc):
    if bc:
        return Holder(
            lambda m, x: m.conv2(F.relu(m.norm2(m.conv1(F.relu(m.norm1(x)))))),
            norm1=tnn.BatchNorm2d(c),
            conv1=conv(c, 4 * growth),
            norm2=tnn.BatchNorm2d(4 * growth),
            conv2=conv(4 * growth, growth, 3),
        )
    return Holder(
        lambda m, x: m.conv1(F.relu(m.norm1(x))),
        norm1=tnn.BatchNorm2d(c),
        conv1=conv(c, growth, 3),
    )


def dense_block(depth, c, growth, bc):
    def forward(m, x):
        maps = [x]
        for layer in m.children():
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)

    layers = {f"denselayer{i + 1}": dense_layer(c + i * growth, growth, bc) for i in range(depth)}
    return Holder(forward, **layers)


def densenet_cifar(depths, growth, c, bc, classes):
    parts = {"conv0": conv(3, c, 3)}
    for i, depth in enumerate(depths, 1):
        parts[f"denseblock{i}"] = dense_block(depth, c, growth, bc)
        c += depth * growth
        if i < len(depths):
            out = c // 2 if bc else c
            parts[f"transition{i}"] = Holder(
                lambda m, x: F.avg_pool2d(m.conv(F.relu(m.norm(x))), 2),
                norm=tnn.BatchNorm2d(c),
                conv=conv(c, out),
            )
            c = out
    parts[f"norm{len(depths) + 1}"] = tnn.BatchNorm2d(c)
    return Holder(
        lambda m, x: m.classifier(F.relu(m.features(x)).mean((2, 3))),
        features=tnn.Sequential(OrderedDict(parts)),
        classifier=tnn.Linear(c, classes),
    )


CASES = {
    "shufflenet_v1": (
        lambda: ShuffleNetV1(3, 0.25, 24, False, 7),
        lambda: shufflenet_v1(3, (60, 120, 240), 24, False, 7),
        64,
    ),
    "shufflenet_v1 megvii": (
        lambda: ShuffleNetV1(8, 0.5, 16, True, 7),
        lambda: shufflenet_v1(8, (192, 384, 768), 16, True, 7),
        64,
    ),
    "shufflenet_v1 ungrouped": (
        lambda: ShuffleNetV1(1, 0.5, 24, False, 7),
        lambda: shufflenet_v1(1, (72, 144, 288), 24, False, 7),
        64,
    ),
    "densenet cifar": (
        lambda: DenseNet("cifar", (3, 3, 3), 12, 16, 7, bc=False),
        lambda: densenet_cifar((3, 3, 3), 12, 16, False, 7),
        24,
    ),
    "densenet cifar bc": (
        lambda: DenseNet("cifar", (3, 3, 3), 12, 24, 7),
        lambda: densenet_cifar((3, 3, 3), 12, 24, True, 7),
        24,
    ),
}


def perturb(model):
    rng = torch.Generator().manual_seed(1)
    for m in model.modules():
        if isinstance(m, tnn.BatchNorm2d):
            shape = m.weight.shape
            m.weight.data.copy_(torch.rand(shape, generator=rng) + 0.5)
            m.bias.data.copy_(torch.randn(shape, generator=rng) * 0.1)
            m.running_mean.copy_(torch.randn(shape, generator=rng) * 0.1)
            m.running_var.copy_(torch.rand(shape, generator=rng) + 0.5)


def close(ours, theirs, scale=0.0):
    """To 1e-10 of the largest element; scale: of a whole set of gradients, some of which are 0."""
    bound = 1e-10 * max(np.abs(theirs).max(), 1e-3 * scale)
    assert np.abs(ours - theirs).max() <= bound


@pytest.mark.parametrize("name", CASES)
def test_same_outputs_and_gradients_as_the_restatement(name):
    ours, twin, size = CASES[name]
    torch.manual_seed(0)
    twin = twin().double()
    perturb(twin)
    ours = ours().astype("float64")
    fc.load_torch_state_dict(ours, {k: v.numpy() for k, v in twin.state_dict().items()})
    images = np.random.default_rng(0).standard_normal((3, size, size, 3))
    labels = np.arange(3)
    x = fc.tensor(images, requires_grad=True)
    tx = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).requires_grad_()

    twin.eval(), ours.eval()
    with fc.no_grad(), torch.no_grad():
        close(ours(x).numpy(), twin(tx).numpy())
    twin.train(), ours.train()
    loss, expected = (
        fc.functional.cross_entropy(ours(x), fc.tensor(labels)),
        F.cross_entropy(twin(tx), torch.from_numpy(labels)),
    )
    loss.backward(), expected.backward()
    assert abs(loss.item() - expected.item()) < 1e-12
    close(x.grad.numpy().transpose(0, 3, 1, 2), tx.grad.numpy())
    gradients = {key: p.grad.numpy() for key, p in twin.named_parameters()}
    scale = max(np.abs(g).max() for g in gradients.values())
    modules = dict(ours.named_modules())
    for key, p in ours.named_parameters():
        path, _, attribute = key.rpartition(".")
        view = modules[path].torch_view(attribute)
        g = p.grad.numpy()
        close(g if view is None else view.to_theirs(g), gradients[key], scale)
