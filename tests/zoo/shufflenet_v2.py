NAMES = {}
STAGES = {}
PEERS = {
    f"shufflenet_v2_{width}": f"torchvision:shufflenet_v2_{width}"
    for width in ("x0_5", "x1_0", "x1_5", "x2_0")
}
