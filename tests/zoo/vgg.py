from fastconv.models.vgg import BLOCKS

NAMES = {
    "vgg11_cifar": "vgg11_cifar32_fc2048",
    "vgg16_c": "vgg16_C_1x1",
    "vgg16_bn_cifar": "vgg16_cifar_bn_fc10",
}


def _features(depth, layers_per_conv):
    """conv1_1, ..., pool1, ... -> path of our module."""
    names, at = {}, 0
    for i, block in enumerate(BLOCKS[depth], 1):
        for j in range(1, len(block) + 1):
            names[f"conv{i}_{j}"] = f"features.{at}"
            at += layers_per_conv
        names[f"pool{i}"] = f"features.{at}"
        at += 1
    return names


STAGES = {f"fc{6 + i}": f"classifier.{3 * i}" for i in range(3)}
STAGES_OF = {
    "vgg11_cifar": _features(11, 2),
    "vgg16_c": _features(16, 2),
    "vgg16_bn_cifar": _features(16, 3) | {"fc6": "classifier"},
}
# the published table was counted without layers that have no parameters; the paper has dropout
DETAILS = {"vgg16_c": {"dropout_p": [0.5, 0.5]}}
PEERS = {f"vgg{d}{bn}": f"torchvision:vgg{d}{bn}" for d in (11, 13, 16, 19) for bn in ("", "_bn")}
