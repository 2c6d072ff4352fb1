NAMES = {}
STAGES = {}
# The published table was counted without layers that have no parameters. The paper has dropout 0.5
# on both hidden linear layers (section 3) and normalises contrast across maps behind the first two
# poolings (figure 3); it gives no constants, ours are those of Krizhevsky et al. 2012.
DETAILS = {
    "zfnet": {
        "dropout_p": [0.5, 0.5],
        "lrn": [{"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0, "n": 2}],
    }
}
