NAMES = {"vgg11_cifar": "vgg11_cifar32_fc2048"}

_FEATURES = (
    "conv1_1", None, "pool1", "conv2_1", None, "pool2", "conv3_1", None, "conv3_2", None, "pool3",
    "conv4_1", None, "conv4_2", None, "pool4", "conv5_1", None, "conv5_2", None, "pool5",
)  # fmt: skip
STAGES = {f"fc{6 + i}": f"classifier.{3 * i}" for i in range(3)} | {
    name: f"features.{i}" for i, name in enumerate(_FEATURES) if name
}
PEERS = {f"vgg{d}{bn}": f"torchvision:vgg{d}{bn}" for d in (11, 13, 16, 19) for bn in ("", "_bn")}
