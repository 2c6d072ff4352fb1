import re

NAMES = {}
# of timm's tf_efficientnet_b0; the others have torchvision's own names
STAGES = {
    "conv_stem": "features.0",
    "blocks": "features.7",
    "conv_head": "features.8",
    "global_pool": "flatten",
} | {f"blocks.{i}": f"features.{i + 1}" for i in range(7)}
PEERS = {f"efficientnet_b{i}": f"torchvision:efficientnet_b{i}" for i in range(8)} | {
    "tf_efficientnet_b0": "timm:tf_efficientnet_b0"
}

_PARTS = {
    "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1",
}  # fmt: skip
_FIRST_PARTS = {  # the first block does not expand
    "conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2",
    "conv_pw": "2.0", "bn2": "2.1",
}  # fmt: skip
_ENDS = {
    "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.8.0",
    "bn2": "features.8.1", "classifier": "classifier.1",
}  # fmt: skip


def from_timm(key):
    """Our key of one of timm's B0."""
    module, _, leaf = key.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{leaf}"
    stage, block, part = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", module).groups()
    parts = _PARTS if stage != "0" else _FIRST_PARTS
    return f"features.{int(stage) + 1}.{block}.block.{parts[part]}.{leaf}"
