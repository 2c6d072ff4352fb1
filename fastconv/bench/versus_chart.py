"""The picture of a comparison: a panel per row, networks from above, bars to reach as black lines.

matplotlib draws (extra "plot").
"""

from importlib import import_module
from pathlib import Path

from fastconv.bench.bars import AIMS, CHANNELS_LAST, COMPILE, NCHW, SPEED
from fastconv.bench.standing import in_memory, in_speed
from fastconv.bench.versus_report import Comparison

# Okabe and Ito's: told apart by colour-blind readers, and in grey by their lightness
COLOURS = {CHANNELS_LAST: "#0072B2", NCHW: "#56B4E9", COMPILE: "#E69F00"}
LABELS = {
    CHANNELS_LAST: "over PyTorch eager, channels_last",
    NCHW: "over PyTorch eager, NCHW",
    COMPILE: "over torch.compile, frozen weights",
}
MEMORY_COLOUR, MEMORY_LABEL = "#009E73", "memory, over PyTorch eager, channels_last"
EQUAL = "#808080"  # the line at 1
BAND = 0.8  # of a network's unit of height: bars; the rest is the gap to the next network
PANEL, NAMES = 3.1, 1.6  # inches
NETWORK, MARGINS = 0.75, 1.7


def draw(report: Comparison, path: Path) -> None:
    """A PNG of what was measured; nothing where nothing was."""
    panels = _panels(report)
    if not panels:
        return
    names = [found.name for found in report.results if found.rows]
    pyplot = import_module("matplotlib.pyplot")
    size = (NAMES + PANEL * len(panels), MARGINS + NETWORK * len(names))
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (title, label, entries) in zip(axes[0], panels):
        for name, bars, standing in entries:
            _network(axis, names.index(name), bars, standing)
        _finish(axis, title, label, names, entries)
    _legend(figure, panels)
    m = report.machine
    figure.suptitle(
        f"fastconv {m.fastconv} ({m.commit}) beside PyTorch {report.versions.get('torch', '')} on"
        f" {m.processor}, {m.threads} threads"
    )
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _panels(report):
    """[(title, label of x, networks)], a network being (name, [(label, colour, ratio, interval or
    None, disturbed), ..], standing)."""
    speed, memory = {}, {}
    for name, row in report.rows:
        title = f"{row.mode}, batch {row.batch}"
        if row.pairs:
            bars = [
                (LABELS[v], COLOURS[v], pairs.ratio, pairs.interval, pairs.gave_up)
                for v, pairs in row.pairs.items()
            ]
            entry = (name, bars, in_speed(name, row))
            speed.setdefault((title, _speed_label(row)), []).append(entry)
        if standing := in_memory(name, row):
            bars = [(MEMORY_LABEL, MEMORY_COLOUR, standing.ratio, None, False)]
            key = (f"memory of {title}", "growth, ours / PyTorch's (less is better)")
            memory.setdefault(key, []).append((name, bars, standing))
    return [(*key, entries) for key, entries in (speed | memory).items()]


def _speed_label(row):
    aim = AIMS.get((SPEED, row.mode, row.batch))
    bar = f"\nbar: over {' and '.join(aim.over)}" if aim else ""
    return f"times as fast (more is better){bar}"


def _network(axis, place, bars, standing):
    """The bars of one network around y = place, and the lines to reach."""
    height = BAND / len(bars)
    for i, (_, colour, ratio, interval, disturbed) in enumerate(bars):
        y = place - BAND / 2 + height * (i + 0.5)
        # the interval is of medians of resampled ratios, and may by chance leave their median out
        ends = interval and [[max(0.0, ratio - interval[0])], [max(0.0, interval[1] - ratio)]]
        axis.barh(
            y, ratio, 0.9 * height, color=colour, xerr=ends, hatch="//" if disturbed else None,
            error_kw={"elinewidth": 1, "capsize": 2}, edgecolor="white", linewidth=0,
        )  # fmt: skip
        axis.annotate(
            f"{ratio:.2f}", (1, y), xycoords=axis.get_yaxis_transform(), ha="right", va="center",
            fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    if standing.bar is not None:
        ends = (place - 0.47, place + 0.47)
        axis.vlines(standing.bar.value, *ends, color="black", linewidth=2)
        axis.vlines(standing.bar.stretch, *ends, color="black", linewidth=1.2, linestyle=":")


def _finish(axis, title, label, names, entries):
    axis.axvline(1, color=EQUAL, linewidth=0.8, zorder=0)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(label, fontsize=9)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)  # the first one on top
    # room for the figures at the end; wide intervals of disturbed rounds are cut off
    longest = [bar[2] for _, bars, _ in entries for bar in bars]
    longest += [standing.bar.stretch for *_, standing in entries if standing.bar]
    axis.set_xlim(0, 1.3 * max(1.0, *longest))
    axis.spines[["top", "right"]].set_visible(False)


def _legend(figure, panels):
    patches, lines = (import_module(f"matplotlib.{kind}") for kind in ("patches", "lines"))
    colours = {
        label: colour
        for _, _, entries in panels
        for _, bars, _ in entries
        for label, colour, *_ in bars
    }
    handles = [patches.Patch(color=colour, label=label) for label, colour in colours.items()]
    for style, width, label in (("-", 2, "bar to reach"), (":", 1.2, "stretch")):
        handles.append(
            lines.Line2D([], [], color="black", linestyle=style, linewidth=width, label=label)
        )
    if any(bar[4] for _, _, entries in panels for _, bars, _ in entries for bar in bars):
        handles.append(patches.Patch(facecolor="white", hatch="//", label="disturbed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
