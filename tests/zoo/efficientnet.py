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
