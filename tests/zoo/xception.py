NAMES = {}
STAGES = {}
PEERS = {"xception": "timm:legacy_xception"}
