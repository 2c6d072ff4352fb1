NAMES = {"nasnet_mobile": "nasnet_a_mobile", "nasnet_large": "nasnet_a_large"}
STAGES = {"global_pool": "flatten"}

_SAME = {"k": 3, "s": 2, "p": "same", "ceil_mode": False}
_AVERAGE = {"type": "AvgPool2d", "ceil_mode": False, "count_include_pad": False}
REPLACED = {
    "nasnet_mobile": {
        # The counted port pads even maps by one row and column too many and cuts them off behind
        # the convolution: the same values, but 4,596,042 multiplications more than the network has
        # (the facts' keras entry). Its last pooling is a 7 x 7 window.
        "macs": 563_638_816,
        "details": {
            "pools": [
                {"type": "MaxPool2d", **_SAME, "n": 8},
                {**_AVERAGE, **_SAME, "n": 4},
                {**_AVERAGE, "k": 3, "s": 1, "p": 1, "n": 40},
                {**_AVERAGE, "k": 1, "s": 2, "p": 0, "n": 8},
            ]
        },
    }
}
PEERS = {"nasnet_large": "timm:nasnetalarge"}


def as_published(model):
    """timm's average pooling with "same" padding counts the zeros around the image; TensorFlow's,
    where the weights come from, does not, and neither does ours."""
    for module in model.modules():
        if type(module).__name__ == "AvgPool2dSame":
            module.forward = _without_padding(module.forward)
    return model


def _without_padding(forward):
    return lambda x: forward(x) / forward(x.new_ones((1, 1, *x.shape[2:])))
