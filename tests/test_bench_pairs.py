"""Pairs of sides: what is discarded, what the figures are of, and how the bars judge them."""

import os
from functools import partial
from itertools import chain, repeat

import numpy as np
import pytest

import fastconv as fc
from fastconv.bench import resident
from fastconv.bench.bars import AIMS, MEMORY, NAMED, SPEED, Bar
from fastconv.bench.own_process import ProcessError, alone
from fastconv.bench.pairs import DISTURBED, Pairs, Piece, Round, time_pairs
from fastconv.bench.run_queue import waited, waits
from fastconv.bench.standing import Row, in_memory, in_speed
from fastconv.bench.timing import Timing
from fastconv.errors import UnknownModelError

THREADS = 2


class Clock:
    """Every step takes a second; who ran and who paused is written down."""

    WARM_UPS = 0

    def __init__(self, ran):
        self.ran = ran

    def seconds(self, run, times=1):
        run()
        return 1.0

    def settle(self):
        self.ran.append("|")


def measured(waiting, peers="p", wanted=3):
    """(pairs by peer, what ran). waiting: shares of time x threads, one per piece."""
    ran, total, queued = [], 0, chain.from_iterable((0.0, share) for share in waiting)

    def queue():  # before and after each piece
        nonlocal total
        total += int(1e9 * next(queued) * THREADS)
        return {"1": total}

    sides = {name: partial(ran.append, name) for name in peers}
    found = time_pairs(lambda: ran.append("o"), sides, wanted, THREADS, Clock(ran), queue)
    return found, "".join(ran)


def pairs(ratios, waiting=0.0, wanted=None):
    rounds = [Round(Piece(1.0, waiting), Piece(ratio, 0.0)) for ratio in ratios]
    return Pairs(len(rounds) if wanted is None else wanted, rounds)


# ---- the queue for a core


def tasks(folder, **threads):
    for name, text in threads.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "schedstat").write_text(text)
    return folder


def test_waiting_is_read_of_every_thread_and_new_ones_count_from_their_beginning(tmp_path):
    (tmp_path / "ended").mkdir()  # between the listing and the reading
    before = waits(tasks(tmp_path, a="900 1000 3\n", b="5 2000 1\n"))
    assert before == {"a": 1000, "b": 2000}
    after = {"a": 500_001_000, "c": 250_000_000}
    assert waited(before, after) == pytest.approx(0.75)


def test_a_system_that_does_not_count_waiting_says_nothing(tmp_path):
    assert waits(tmp_path / "missing") is None
    (tmp_path / "1").mkdir()
    assert waits(tmp_path) is None
    assert waits(tasks(tmp_path, a="0 0 0\n")) is None  # the accounting is switched off
    assert waited(None, {}) is None and waited({}, None) is None


# ---- rounds


def test_sides_take_turns_with_pauses_and_change_their_order():
    found, ran = measured(repeat(0.0), peers="pq", wanted=2)
    warm = "opq" + "opq"  # unmeasured; then how many runs make a round
    assert ran == warm + "|o|p|o|q" + "|q|o|p|o"
    assert [len(p.rounds) for p in found.values()] == [2, 2]
    assert found["p"].rounds[0].ours.waiting == 0.0


def test_rounds_in_which_threads_waited_are_discarded_and_measured_again():
    just, above = 0.99 * DISTURBED, 1.01 * DISTURBED
    found, _ = measured([above, 0, just, just, 0, above, *[0] * 6])
    rounds = found["p"].rounds
    assert [r.disturbed for r in rounds] == [True, False, True, False, False]
    assert rounds[0].ours.waiting == pytest.approx(above)
    assert rounds[2].peer.waiting == pytest.approx(above)
    assert found["p"].complete and not found["p"].gave_up
    assert len(found["p"].counted) == 3


def test_a_pair_is_given_up_when_over_half_would_be_discarded():
    found, _ = measured(repeat(0.5))
    assert found["p"].gave_up and len(found["p"].rounds) == 4
    assert found["p"].counted == found["p"].rounds  # for want of better ones
    found, _ = measured([0.5, 0] * 2 + [0] * 4 + [0.5, 0] * 2 + [0] * 9, wanted=3)
    assert found["p"].gave_up and len(found["p"].undisturbed) == 2
    assert len(found["p"].counted) == 6


def test_without_figures_of_waiting_no_round_is_discarded():
    found = time_pairs(lambda: 0, {"p": lambda: 0}, 2, 1, Clock([]), queue=lambda: None)["p"]
    assert [r.disturbed for r in found.rounds] == [False, False]
    assert found.rounds[0].ours.waiting is None and not found.gave_up


# ---- statistics


def test_the_spread_is_that_of_the_middle_half():
    assert Timing([1.0, 2.0, 3.0, 4.0, 100.0]).quartile_spread == pytest.approx((4 - 2) / 3)
    assert Timing([5.0]).quartile_spread == 0


def test_the_ratio_is_the_median_of_the_rounds_own_ratios():
    rounds = [Round(Piece(o, 0.0), Piece(p, 0.0)) for o, p in ((1, 2), (10, 30), (4, 4))]
    found = Pairs(3, rounds)
    assert found.ratio == 2.0 and found.ours.median / found.peer.median == 1.0
    assert found.as_dict()["ratio"] | {"interval": 0} == {
        "median": 2.0, "interval": 0, "min": 1.0, "max": 3.0
    }  # fmt: skip


def test_the_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = pairs(rng.lognormal(np.log(1.4), 0.1, 15)).interval
        held += low <= 1.4 <= high
    assert 180 <= held <= 199  # 95 %, which the bootstrap of a median reaches closely
    assert pairs([1.5] * 4).interval == (1.5, 1.5)


# ---- bars


def test_every_bar_is_of_a_network_and_its_stretch_is_harder():
    assert set(NAMED) <= set(fc.models.list_models()) and len(NAMED) == 9
    for (quantity, _, _), aim in AIMS.items():
        for bar in filter(None, (aim.every, *aim.own.values())):
            assert bar.stretch > bar.value if quantity == SPEED else bar.stretch < bar.value


@pytest.mark.parametrize(
    ("name", "key", "value", "stretch"),
    [
        ("resnet50", (SPEED, "inference", 8), 1.1, 1.3),
        ("shufflenet_v2_x1_0", (SPEED, "inference", 8), 1.2, 1.5),
        ("vgg16", (SPEED, "inference", 8), 2.2, 2.5),
        ("squeezenet1_1", (SPEED, "inference", 1), 1.5, 2.0),
        ("squeezenet1_1", (SPEED, "training", 8), 1.4, 1.6),
        ("efficientnet_b0", (SPEED, "training", 8), 2.0, 3.0),
        ("efficientnet_b0", (MEMORY, "training", 8), 0.85, 0.6),
    ],
)
def test_networks_without_a_bar_of_their_own_take_that_of_all(name, key, value, stretch):
    assert AIMS[key].bar(name) == Bar(value, stretch)


def test_there_is_no_bar_for_others_in_inference_of_8():
    assert AIMS[SPEED, "inference", 8].bar("squeezenet1_1") is None


def test_a_bar_is_reached_by_its_own_value():
    speed, memory = Bar(1.4, 1.6), Bar(0.85, 0.6)
    assert [speed.reached(r, SPEED) for r in (1.39, 1.4, 1.6)] == ["no", "yes", "stretch"]
    assert [memory.reached(r, MEMORY) for r in (0.86, 0.85, 0.6)] == ["no", "yes", "stretch"]


def test_the_best_of_the_variants_that_a_bar_names_counts():
    variants = {"channels_last": pairs([1.7]), "NCHW": pairs([1.0]), "compile": pairs([1.2])}
    found = in_speed("resnet18", Row("inference", 8, variants))
    assert (found.over, found.ratio, found.reached) == ("compile", 1.2, "yes")
    found = in_speed("resnet18", Row("inference", 1, variants))
    assert (found.over, found.reached) == ("NCHW", "no")
    failed = Row("inference", 8, {"channels_last": pairs([1.7])}, {"compile": "no compiler"})
    assert in_speed("resnet18", failed).reached == "stretch"
    assert in_speed("resnet18", Row("inference", 3, variants)).bar is None  # no bar at batch 3
    assert in_speed("resnet18", Row("training", 8)) is None


def test_disturbed_figures_reach_nothing():
    row = Row("training", 8, {"channels_last": pairs([9.0, 9.0], waiting=0.5, wanted=1)})
    assert in_speed("resnet18", row).reached == "?"


def test_memory_is_ours_over_theirs():
    row = Row("training", 8, memory={"fastconv": 80, "torch": 100})
    assert (in_memory("vgg16", row).ratio, in_memory("vgg16", row).reached) == (0.8, "yes")
    for ours, theirs in ((None, 100), (80, None)):
        row.memory = {"fastconv": ours, "torch": theirs}
        assert in_memory("vgg16", row) is None
    assert in_memory("vgg16", Row("training", 8)) is None


# ---- processes of their own


def after_a_peak():
    np.ones(10_000_000)
    return resident.growth(partial(np.ones, 1000))


def test_work_alone_gives_its_result_or_its_error(monkeypatch):
    assert alone(os.getpid) != os.getpid()
    monkeypatch.setattr(fc.errors, "left_behind", True, raising=False)
    assert alone(eval, "hasattr(__import__('fastconv').errors, 'left_behind')") is False
    with pytest.raises(UnknownModelError, match="resnet50"):
        alone(fc.models.model_info, "resnet55")
    with pytest.raises(ProcessError, match="ValueError: invalid literal"):
        alone(int, "x")
    with pytest.raises(ProcessError, match="exit code 3"):
        alone(os._exit, 3)


def test_growth_is_the_peak_of_the_steps_and_not_what_was_there_before(monkeypatch):
    kept = np.ones(10_000_000)
    small, large = (alone(resident.growth, partial(np.ones, n)) for n in (1000, kept.size))
    if large is None:
        pytest.skip("this system does not tell resident memory")
    assert small < 2e6 and large == pytest.approx(kept.nbytes, abs=2e6)
    assert alone(after_a_peak) < 2e6
    monkeypatch.setattr(resident, "STATUS", resident.STATUS / "missing")
    assert resident.growth(lambda: None) is None
