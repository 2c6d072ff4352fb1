"""What the comparisons with other libraries found, as a table at the end of a run.

A test hands a Parity over by record_property(PROPERTY, parity._asdict()); pytest-xdist carries it.
"""

from typing import NamedTuple

PROPERTY = "parity"
COLUMNS = (
    "logits_f32", "gradients_f32", "logits_f64", "loss_f64", "gradients_f64", "share_of_bound",
)  # fmt: skip


class Parity(NamedTuple):
    """Errors relative to PyTorch in float64: Euclidean norms; all gradients as one vector."""

    family: str
    name: str
    logits_f32: float
    gradients_f32: float
    logits_f64: float
    loss_f64: float
    gradients_f64: float
    share_of_bound: float  # of the worst tensor, either precision


def lines(found):
    """The worst of each column per family."""
    families = {}
    for parity in found:
        families.setdefault(parity["family"], []).append(parity)
    yield f"{'family':20}{'networks':>9}" + "".join(f"{c:>15}" for c in COLUMNS) + "  worst"
    for family, parities in sorted(families.items()):
        worst = max(parities, key=lambda p: p["share_of_bound"])["name"]
        figures = "".join(f"{max(p[c] for p in parities):15.2g}" for c in COLUMNS)
        yield f"{family:20}{len(parities):9}{figures}  {worst}"
