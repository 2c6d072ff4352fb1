import re

NAMES = {}
# of timm's networks; torchvision's have our own names
STAGES = {"head": "fc"} | {f"s{i}": f"trunk_output.block{i}" for i in (1, 2, 3, 4)}

_SIZES = ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
_TORCHVISION = [f"regnet_{kind}_{size}" for kind in "xy" for size in _SIZES]
_TIMM = ("regnetx_002", "regnetx_004", "regnetx_040", "regnety_002", "regnety_040")
PEERS = {name: f"torchvision:{name}" for name in (*_TORCHVISION, "regnet_y_128gf")} | {
    name: f"timm:{name}" for name in _TIMM
}

_PARTS = {
    "conv1.conv": "f.a.0", "conv1.bn": "f.a.1", "conv2.conv": "f.b.0", "conv2.bn": "f.b.1",
    "conv3.conv": "f.c.0", "conv3.bn": "f.c.1", "se.fc1": "f.se.fc1", "se.fc2": "f.se.fc2",
    "downsample.conv": "proj.0", "downsample.bn": "proj.1",
}  # fmt: skip
_ENDS = {"stem.conv": "stem.0", "stem.bn": "stem.1", "head.fc": "fc"}


def from_timm(key):
    """Our key of one of timm's."""
    module, _, leaf = key.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{leaf}"
    i, j, part = re.fullmatch(r"s(\d)\.b(\d+)\.(.+)", module).groups()
    return f"trunk_output.block{i}.block{i}-{int(j) - 1}.{_PARTS[part]}.{leaf}"
