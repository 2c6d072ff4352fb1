NAMES = {"bn_inception": "bninception"}
STAGES = {}
