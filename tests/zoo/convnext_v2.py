NAMES = {}
# features: stem, stage 0, then in turn what halves H and W and the stage
STAGES = {"stem": "features.0", "stages": "features.7", "head": "classifier"} | {
    f"stages.{i}": f"features.{2 * i + 1}" for i in range(4)
}
PEERS = {name: f"timm:{name}" for name in ("convnextv2_atto", "convnextv2_tiny")}
