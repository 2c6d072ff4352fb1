"""How a row of a comparison stands to its bar."""

from dataclasses import dataclass, field

from fastconv.bench.bars import AIMS, CHANNELS_LAST, MEMORY, SPEED, Bar
from fastconv.bench.pairs import Pairs
from fastconv.bench.versus_parts import OURS

UNKNOWN = "?"  # figures that other programs disturbed reach nothing


@dataclass
class Row:
    """One mode at one batch size of one network."""

    mode: str
    batch: int
    pairs: dict[str, Pairs] = field(default_factory=dict)  # by variant of the peer
    failed: dict[str, str] = field(default_factory=dict)  # variant -> why
    memory: dict[str, int | None] = field(default_factory=dict)  # side -> bytes of growth

    @property
    def title(self) -> str:
        return f"{self.mode} b{self.batch}"


@dataclass
class Standing:
    """A ratio of ours to the peer's beside its bar."""

    ratio: float
    over: str  # the variant of the peer
    bar: Bar | None
    reached: str  # "no", "yes", "stretch"; UNKNOWN; "" without a bar


def in_speed(name: str, row: Row) -> Standing | None:
    """Over the best of the variants that the aim names, which is the lowest ratio; None if nothing
    was timed."""
    aim = AIMS.get((SPEED, row.mode, row.batch))
    over = [v for v in row.pairs if aim is None or v in aim.over]
    if not over:
        return None
    best = min(over, key=lambda variant: row.pairs[variant].ratio)
    bar = aim and aim.bar(name)
    ratio, gave_up = row.pairs[best].ratio, row.pairs[best].gave_up
    return Standing(ratio, best, bar, _reached(bar, ratio, SPEED, gave_up))


def in_memory(name: str, row: Row) -> Standing | None:
    """Of our growth over the peer's; None if it was not measured on both sides."""
    ours = row.memory.get(OURS)
    theirs = [bytes_ for side, bytes_ in row.memory.items() if side != OURS]
    if ours is None or not theirs or not theirs[0]:
        return None
    aim = AIMS.get((MEMORY, row.mode, row.batch))
    bar = aim and aim.bar(name)
    ratio = ours / theirs[0]
    return Standing(ratio, CHANNELS_LAST, bar, _reached(bar, ratio, MEMORY))


def _reached(bar, ratio, quantity, gave_up=False):
    if bar is None:
        return ""
    return UNKNOWN if gave_up else bar.reached(ratio, quantity)
