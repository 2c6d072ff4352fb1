"""LeNet-5 on the 1,797 handwritten digits of scikit-learn: trains, tests on the held-out fifth.

python examples/train_digits.py [--epochs 12] [--seed 0]; needs scikit-learn (extra plot or test).
"""

import argparse
from time import perf_counter

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import fastconv as fc


def load(seed):
    """((train x, labels), (test x, labels)): x (N, 32, 32, 1) float32, the last fifth of a seeded
    shuffle held out."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.images))
    images = (digits.images[order] / 16).astype(np.float32)[..., None]
    # 8 x 8 to the 28 x 28 in 32 x 32 that LeNet-5 expects
    images = fc.functional.resize(images, size=(28, 28), mode="bilinear")
    images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    labels = digits.target[order].astype(np.int64)
    cut = len(images) * 4 // 5
    return (images[:cut], labels[:cut]), (images[cut:], labels[cut:])


def accuracy(model, x, labels):
    """Share of images whose largest logit is the label's."""
    model.eval()
    with fc.no_grad():
        guesses = model(fc.tensor(x)).argmax(axis=1).numpy()
    return float((guesses == labels).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    fc.manual_seed(options.seed)
    (x, labels), (test_x, test_labels) = load(options.seed)
    model = fc.models.create_model("lenet5")
    optimizer = fc.optim.Adam(model.parameters(), lr=2e-3)
    steps = options.epochs * -(-len(x) // options.batch)
    scheduler = fc.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shuffle = np.random.default_rng(options.seed)

    start = perf_counter()
    for _ in track(range(options.epochs), description="training"):
        model.train()
        order = shuffle.permutation(len(x))
        for i in range(0, len(x), options.batch):
            batch = order[i : i + options.batch]
            optimizer.zero_grad()
            logits = model(fc.tensor(x[batch]))
            loss = fc.functional.cross_entropy(logits, fc.tensor(labels[batch]))
            loss.backward()
            optimizer.step()
            scheduler.step()
    seconds = perf_counter() - start
    share = accuracy(model, test_x, test_labels)
    print(
        f"{len(x)} digits, {options.epochs} epochs in {seconds:.1f} s;"
        f" {100 * share:.2f} % of {len(test_x)} held-out digits right"
    )


if __name__ == "__main__":
    main()
