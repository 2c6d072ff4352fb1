NAMES = {}
STAGES = {"global_pool": "flatten"}
PEERS = {"pnasnet5_large": "timm:pnasnet5large"}
