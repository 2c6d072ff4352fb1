"""Residual networks without a peer in torchvision or timm, against a restatement in PyTorch.

CIFAR networks with shortcuts of option A and B and none, options A and C of ImageNet's, and
pre-activation networks, wide ones too. All in float64: what differs then is the order of sums, and
each is allowed BOUND of its tensor's norm (measured: 6e-14 at most).
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv.models import create_model
from fastconv.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from fastconv.models.resnet import BasicBlock, ResNet
from fastconv.models.resnet_cifar import CifarResNet

torch = pytest.importorskip("torch")
tnn = torch.nn
tf = tnn.functional

pytestmark = pytest.mark.peers

BOUND = 1e-12


class Twin:
    """A residual network as one function of a state dict in PyTorch's layout; keeps no modules."""

    def __init__(self, state, depths, kind, shortcut="B", stride_in_1x1=False):
        self.state, self.depths, self.kind = state, depths, kind
        self.shortcut, self.stride_in_1x1 = shortcut, stride_in_1x1
        self.training = True

    def conv(self, x, key, stride=1):
        w = self.state[f"{key}.weight"]
        return tf.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)

    def norm(self, x, key):
        s = {part: self.state[f"{key}.{part}"] for part in ("running_mean", "running_var")}
        gamma, beta = self.state[f"{key}.weight"], self.state[f"{key}.bias"]
        return tf.batch_norm(x, *s.values(), gamma, beta, self.training)

    def post(self, x, block, stride):
        """Two 3x3 with ReLU after the sum."""
        y = self.norm(self.conv(x, f"{block}.conv1", stride), f"{block}.bn1").relu()
        y = self.norm(self.conv(y, f"{block}.conv2"), f"{block}.bn2")
        if self.shortcut is None:
            return y.relu()
        if f"{block}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, f"{block}.downsample.0", stride), f"{block}.downsample.1")
        elif self.shortcut == "A":
            x = x[:, :, ::stride, ::stride]
            x = torch.cat([x, x.new_zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])], 1)
        return (y + x).relu()

    def pre(self, x, block, stride):
        """(BN, ReLU, convolution) twice or three times."""
        last = 3 if f"{block}.conv3.weight" in self.state else 2
        strided = 2 if last == 3 and not self.stride_in_1x1 else 1
        first = y = self.norm(x, f"{block}.bn1").relu()
        for i in range(1, last + 1):
            if i > 1:
                y = self.norm(y, f"{block}.bn{i}").relu()
            y = self.conv(y, f"{block}.conv{i}", stride if i == strided else 1)
        if f"{block}.downsample.weight" in self.state:
            x = self.conv(first, f"{block}.downsample", stride)
        return x + y

    def __call__(self, x):
        imagenet = self.state["conv1.weight"].shape[-1] == 7
        x = self.conv(x, "conv1", 2 if imagenet else 1)
        if "bn1.weight" in self.state:
            x = self.norm(x, "bn1").relu()
        if imagenet:
            x = tf.max_pool2d(x, 3, 2, 1)
        for i, depth in enumerate(self.depths):
            for j in range(depth):
                block = getattr(self, self.kind)
                x = block(x, f"layer{i + 1}.{j}", 2 if i and not j else 1)
        if self.kind == "pre":
            x = self.norm(x, "bn").relu()
        return tf.linear(x.mean((2, 3)), self.state["fc.weight"], self.state["fc.bias"])


def _preact(block, depths, stem, **options):
    widths = (16, 32, 64, 128)[: len(depths)]
    return PreActResNet(block, depths, widths, stem, 9, **options)


# ours, depths, kind of block, what differs; odd sides where a stride meets them
CASES = {
    "resnet20_cifar": (
        lambda: create_model("resnet20_cifar"),
        (3, 3, 3),
        "post",
        {"shortcut": "A"},
    ),
    "resnet cifar B": (lambda: CifarResNet(2, "B"), (2, 2, 2), "post", {}),
    "plain cifar": (lambda: CifarResNet(1, None), (1, 1, 1), "post", {"shortcut": None}),
    "option A": (
        lambda: ResNet(BasicBlock, (1, 2, 1, 1), 9, shortcut="A"),
        (1, 2, 1, 1),
        "post",
        {"shortcut": "A"},
    ),
    "option C": (
        lambda: ResNet(BasicBlock, (1, 2, 1, 1), 9, shortcut="C"),
        (1, 2, 1, 1),
        "post",
        {},
    ),
    "preact_resnet20_cifar": (lambda: create_model("preact_resnet20_cifar"), (3, 3, 3), "pre", {}),
    "wrn16_4_cifar": (lambda: create_model("wrn16_4_cifar"), (2, 2, 2), "pre", {}),
    "preact bottlenecks": (
        lambda: _preact(PreActBottleneck, (2, 1, 1), "cifar"),
        (2, 1, 1),
        "pre",
        {},
    ),
    "preact bottlenecks, 1x1": (
        lambda: _preact(PreActBottleneck, (1, 2, 1), "cifar", stride_in_1x1=True),
        (1, 2, 1),
        "pre",
        {"stride_in_1x1": True},
    ),
    "preact with a stem": (
        lambda: _preact(PreActBottleneck, (1, 2, 1, 1), "imagenet_bn"),
        (1, 2, 1, 1),
        "pre",
        {},
    ),
    "preact basic, no batch norm in the stem": (
        lambda: _preact(PreActBasicBlock, (1, 1, 1, 2), "imagenet"),
        (1, 1, 1, 2),
        "pre",
        {},
    ),
}


def perturbed(model, rng):
    """Batch norm away from 1, 0 and 0, 1, so that a mixed-up tensor shows."""
    for m in model.modules():
        if isinstance(m, fc.nn.BatchNorm2d):
            for tensor, low, high in (
                (m.weight, 0.5, 1.5),
                (m.bias, -0.3, 0.3),
                (m.running_mean, -0.3, 0.3),
                (m.running_var, 0.5, 1.5),
            ):
                tensor.copy_(rng.uniform(low, high, tensor.shape))
    return model


def in_torch(model):
    """Its state as float64 tensors; parameters want gradients."""
    state = {k: torch.from_numpy(np.array(v)) for k, v in fc.to_torch_state_dict(model).items()}
    for key, _ in model.named_parameters():
        state[key].requires_grad_()
    return state


@pytest.mark.parametrize("name", CASES)
def test_same_outputs_gradients_and_statistics(name):
    build, depths, kind, options = CASES[name]
    rng = np.random.default_rng(3)
    ours = perturbed(build(), rng).astype("float64")
    twin = Twin(in_torch(ours), depths, kind, **options)
    shape = (3, 45, 38, 3) if hasattr(ours, "maxpool") else (3, 19, 16, 3)
    x = rng.standard_normal(shape)
    labels = np.arange(3)

    def check(got, expected, what):
        expected = expected.detach().numpy()
        assert got.shape == expected.shape, what
        assert np.linalg.norm(got - expected) <= BOUND * np.linalg.norm(expected), what

    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).requires_grad_()
    twin.training = False
    ours.eval()
    with fc.no_grad(), torch.no_grad():
        check(ours(fc.tensor(x)).numpy(), twin(images), "logits in eval")

    twin.training = True
    ours.train()
    loss = tf.cross_entropy(twin(images), torch.from_numpy(labels))
    loss.backward()
    ours_x = fc.tensor(x, requires_grad=True)
    ours_loss = fc.functional.cross_entropy(ours(ours_x), fc.tensor(labels))
    ours_loss.backward()
    check(ours_loss.numpy(), loss, "loss")
    check(ours_x.grad.numpy().transpose(0, 3, 1, 2), images.grad, "gradient of the images")
    for key, array in fc.to_torch_state_dict(ours).items():
        if "running" in key:
            check(array, twin.state[key], key)
    # gradients travel to PyTorch's layout the way that weights do
    for p in list(ours.parameters()):
        p.copy_(p.grad)
    gradients = fc.to_torch_state_dict(ours)
    for key, _ in ours.named_parameters():
        check(gradients[key], twin.state[key].grad, key)
