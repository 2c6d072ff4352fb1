NAMES = {}
# of timm's networks; torchvision's have our own names
STAGES = {"head": "fc"} | {f"s{i}": f"trunk_output.block{i}" for i in (1, 2, 3, 4)}

_SIZES = ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
_TORCHVISION = [f"regnet_{kind}_{size}" for kind in "xy" for size in _SIZES]
_TIMM = ("regnetx_002", "regnetx_004", "regnetx_040", "regnety_002", "regnety_040")
PEERS = {name: f"torchvision:{name}" for name in (*_TORCHVISION, "regnet_y_128gf")} | {
    name: f"timm:{name}" for name in _TIMM
}
