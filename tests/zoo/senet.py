NAMES = {f"seresnet{depth}": f"seresnet{depth}_caffe" for depth in (50, 101, 152)}
STAGES = {"layer0": "conv1", "pool0": "maxpool", "global_pool": "flatten", "last_linear": "fc"}
# the facts list modules; the dropout of the network that they counted is a function
DETAILS = {"senet154": {"dropout_p": [0.2]}}
PEERS = {
    **{f"seresnet{depth}": f"timm:legacy_seresnet{depth}" for depth in (50, 101, 152)},
    "seresnet50_timm": "timm:seresnet50",
    "seresnext50_32x4d": "timm:legacy_seresnext50_32x4d",
    "senet154": "timm:legacy_senet154",
}

_SENET154_STEM = {"conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3", "bn2": "conv1.4"} | {
    "conv3": "conv1.6",
    "bn3": "bn1",
}


def from_timm(key, name=None):
    """Our key; name tells SENet-154, whose layer0 has three convolutions, from the others."""
    key = key.replace("se_module", "se").replace("last_linear", "fc")
    if not key.startswith("layer0."):
        return key
    _, layer, rest = key.split(".", 2)
    return f"{_SENET154_STEM[layer] if name == 'senet154' else layer}.{rest}"
