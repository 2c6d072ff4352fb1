"""Files that PyTorch itself writes, torchvision's and timm's networks, and their preprocessing."""

from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy

import fastconv as fc
from fastconv.data import imagenet_classes, photograph, transform_for
from fastconv.data.transforms import Transform
from fastconv.errors import FileFormatError
from fastconv.models import create_model, load_torch_file
from tests.peers import peer_networks

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning"),
]


@pytest.fixture(scope="module")
def peers():
    """torchvision and timm."""
    return peer_networks.torchvision, peer_networks.timm


# ---- files


def check_file(path, tensors):
    """What we read is what PyTorch holds, bit for bit."""
    loaded = load_torch_file(path)
    assert list(loaded) == list(tensors)
    for key, tensor in tensors.items():
        assert loaded[key].shape == tuple(tensor.shape), key
        assert loaded[key].dtype.name == str(tensor.dtype).removeprefix("torch."), key
        same = torch.from_numpy(np.array(loaded[key].astype("float64")))
        assert torch.equal(same, tensor.detach().to(torch.float64)), key


def views():
    base = torch.arange(48, dtype=torch.float32)
    table = base[12:36].reshape(4, 6)
    images = torch.randn(2, 3, 5, 4)
    return {
        "base": base,
        "table": table,
        "transposed": table.T,
        "column": table[:, 2],
        "every second": base[1::2],
        "expanded": base[:3].expand(4, 3),
        "scalar": base[7],
        "empty": base[:0].reshape(0, 3),
        "channels last": images.to(memory_format=torch.channels_last),
        "count": torch.tensor(3),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_strides_offsets_shared_storages(tmp_path, protocol):
    tensors = views()
    torch.save(tensors, tmp_path / "x.pth", pickle_protocol=protocol)
    check_file(tmp_path / "x.pth", tensors)


@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ],
)
def test_dtypes(tmp_path, dtype):
    tensors = {"a": (torch.arange(-5, 7).abs() % 5).reshape(3, 4).to(getattr(torch, dtype))}
    torch.save(tensors, tmp_path / "x.pt")
    check_file(tmp_path / "x.pt", tensors)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    )


def test_state_dicts_checkpoints_and_parameters(tmp_path):
    net = network()
    path = tmp_path / "x.pth"
    torch.save(net.state_dict(), path)  # an OrderedDict with _metadata
    check_file(path, net.state_dict())
    torch.save(OrderedDict(net.named_parameters()), path)
    check_file(path, dict(net.named_parameters()))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    for key in ("state_dict", "model", "model_state_dict"):
        checkpoint = {"epoch": 3, key: net.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(checkpoint, path)
        check_file(path, net.state_dict())


def test_what_is_no_state_dict_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(network(), path)
    with pytest.raises(FileFormatError, match=r"it wants to use torch\.nn\.modules"):
        load_torch_file(path)
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(FileFormatError, match=r"before 1\.6"):
        load_torch_file(path)
    torch.save(torch.ones(2), path)
    with pytest.raises(FileFormatError, match="no dict of tensors by name but a ndarray"):
        load_torch_file(path)
    torch.save({"a": torch.ones(2).to_sparse()}, path)
    with pytest.raises(FileFormatError, match="_rebuild_sparse_tensor"):
        load_torch_file(path)


def test_the_command_in_the_error_makes_an_old_file_readable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = network()
    torch.save(net.state_dict(), "x.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(FileFormatError) as error:
        load_torch_file("x.pth")
    command = str(error.value).partition("with PyTorch, ")[2]
    exec(command, {"torch": torch})
    check_file("new.pth", net.state_dict())


# ---- networks


def randomised(net, seed=0):
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def close(ours, theirs, tolerance=1e-4):
    theirs = theirs.detach().numpy()
    assert abs(ours - theirs).max() <= tolerance * abs(theirs).max()


def both(net, ours, size):
    x = np.random.default_rng(0).standard_normal((2, size, size, 3)).astype("float32")
    with torch.no_grad(), fc.no_grad():
        close(ours.eval()(fc.tensor(x)).numpy(), net(torch.from_numpy(x.transpose(0, 3, 1, 2))))


LARGE = [pytest.param(name, marks=pytest.mark.full) for name in ("vgg11_bn", "alexnet")]


@pytest.mark.parametrize("name", ["resnet18", *LARGE])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_and_back(tmp_path, peers, name, suffix):
    """torchvision -> file -> fastconv -> torchvision, strict; the logits stay."""
    torchvision, _ = peers
    make = getattr(torchvision.models, name)
    net = randomised(make(num_classes=7))
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(net.state_dict(), path)
    else:
        arrays = {k: v.numpy() for k, v in net.state_dict().items()}
        safetensors.numpy.save_file(arrays, path)
    ours = create_model(name, num_classes=7, pretrained=path)
    both(net, ours, 224 if name == "alexnet" else 64)
    back = make(num_classes=7)
    arrays = {k: torch.from_numpy(v) for k, v in fc.to_torch_state_dict(ours).items()}
    back.load_state_dict(arrays, strict=True)
    for key, value in net.state_dict().items():
        assert torch.equal(value, back.state_dict()[key]), key


@pytest.mark.parametrize("name", ["resnet18", LARGE[0]])
def test_timms_files(tmp_path, peers, name):
    _, timm = peers
    net = randomised(timm.create_model(name, num_classes=7))
    arrays = {k: v.numpy() for k, v in net.state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    ours = create_model(name, num_classes=7, pretrained=tmp_path / "model.safetensors")
    both(net, ours, 224 if name == "vgg11_bn" else 64)
    assert len(ours.load_report.loaded) == len(arrays)


def test_one_input_channel_is_timms(tmp_path, peers):
    """The sum over the channels, as timm's in_chans=1 has it."""
    _, timm = peers
    torch.manual_seed(0)
    net = timm.create_model("resnet18", num_classes=3)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    gray = timm.create_model("resnet18", num_classes=3, in_chans=1)
    from timm.models import adapt_input_conv

    theirs = adapt_input_conv(1, net.conv1.weight.detach())
    ours = create_model("resnet18", num_classes=3, in_channels=1, pretrained=tmp_path / "w.pth")
    assert tuple(gray.conv1.weight.shape) == tuple(theirs.shape)
    close(ours.conv1.weight.numpy().transpose(0, 3, 1, 2), theirs, 1e-6)


# ---- preprocessing


@pytest.mark.parametrize("name", ["chelsea.jpg", "astronaut.jpg", "coffee.jpg"])
def test_logits_of_a_photograph_are_torchvisions(tmp_path, peers, name):
    torchvision, _ = peers
    net = randomised(torchvision.models.resnet18())
    torch.save(net.state_dict(), tmp_path / "w.pth")
    ours = create_model("resnet18", pretrained=tmp_path / "w.pth").eval()
    preset = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    picture = photograph(name)
    with torch.no_grad(), fc.no_grad():
        theirs = net(preset(picture)[None])
        logits = ours(fc.tensor(transform_for(ours)([picture]))).numpy()
    assert abs(logits - theirs.numpy()).max() < 1e-3
    assert theirs.abs().max() > 0.1


@pytest.mark.parametrize(
    ("resize", "crop", "interpolation"),
    [(256, 224, "bilinear"), (232, 224, "bicubic"), (342, 299, "bicubic"), (97, 64, "nearest"),
     (600, 600, "bicubic"), (60, 64, "bilinear")],
)  # fmt: skip
def test_transforms_are_torchvisions(peers, resize, crop, interpolation):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mode = InterpolationMode(interpolation)
    preset = ImageClassification(crop_size=crop, resize_size=resize, interpolation=mode)
    ours = Transform(resize, crop, interpolation, mean, std)
    picture = photograph("chelsea.jpg")
    for view in (picture, picture.crop((3, 1, 200, 298)), picture.convert("RGBA").convert("RGB")):
        theirs = preset(view).numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(ours(view), theirs, atol=1e-5)


def test_class_names_are_torchvisions(peers):
    torchvision, _ = peers
    categories = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert list(imagenet_classes()) == categories
