import re

NAMES = {}
# features: stem, stage 0, then in turn what halves H and W and the stage
STAGES = {"stem": "features.0", "stages": "features.7", "head": "classifier"} | {
    f"stages.{i}": f"features.{2 * i + 1}" for i in range(4)
}
PEERS = {name: f"timm:{name}" for name in ("convnextv2_atto", "convnextv2_tiny")}

_PARTS = {"conv_dw": 0, "norm": 1, "mlp.fc1": 2, "mlp.grn": 4, "mlp.fc2": 5}


def from_timm(key):
    """Our key of one of timm's."""
    module, _, leaf = key.rpartition(".")
    match module.split("."):
        case ["stem", i]:
            return f"features.0.{i}.{leaf}"
        case ["head", part]:
            return f"classifier.{0 if part == 'norm' else 2}.{leaf}"
        case ["stages", stage, "downsample", i]:
            return f"features.{2 * int(stage)}.{i}.{leaf}"
    stage, block, part = re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.+)", module).groups()
    return f"features.{2 * int(stage) + 1}.{block}.block.{_PARTS[part]}.{leaf}"
