"""This project's study: the paper's steps on Fashion-MNIST, at a size that one core trains in hours.

16 pixels, stem stride 2, stage strides 1, 2, 2, 1 and 0.8 to 1.2 MF leave the widest stages 100 to 190
channels, so that group widths are not clipped away, as they are at 28 pixels and half the flops.
"""

from __future__ import annotations

from dataclasses import replace

from .population import Task
from .sampling import Regime
from .spaces import ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D, ANYNET_X_E, REGNET, AnyNetSpace, Space
from .stage_counts import Frame
from .study import Arm, Comparison, Refinement, Study

FRAME = Frame(in_channels=1, num_classes=10, stem_width=16, stem_stride=2, strides=(1, 2, 2, 1))
WINDOW = Regime(0.8e6, 1.2e6, resolution=16)
AT_24 = replace(WINDOW, resolution=24)
AT_28, HALVING = replace(WINDOW, resolution=28), (1, 2, 2, 2)  # the paper's 56, 28, 14, 7 px, a quarter each
FOUR_TIMES = Regime(3.2e6, 4.8e6, resolution=16)
EPOCHS = 10
CEILING = 40.0  # percent; above it a network has learned little
NETS, CONTROLS, REGNETS, REFINED, FACTORS, GENERALITY = 40, 20, 60, 40, 20, 15  # networks an arm
RULES_POOL = 300  # rules within the window are rare
TASK = Task("fashion-mnist", train_images=4500, evaluate_every=2)


def study() -> Study:
    """The study as a value, with about 800 networks and one comparison a question."""
    arms = (
        *_steps(), *_controls(), _arm("RegNet", REGNET, REGNETS), *_factors(), *_generality(),
        *_sensitivity(),
    )  # fmt: skip
    refined = Refinement("RegNet_refined", "RegNet", REFINED)
    return Study("fashion", TASK, arms, _comparisons(), refined, ceiling=CEILING)


def _arm(
    name: str,
    space: Space,
    nets: int,
    partner: str = "",
    *,
    regime: Regime = WINDOW,
    epochs: int = EPOCHS,
    pool: int = 1000,
    delay: int = 0,
) -> Arm:
    framed = replace(space, frame=replace(FRAME, block=space.frame.block))
    return Arm(name, framed, regime, nets, epochs, partner, pool, delay)


def _steps() -> tuple[Arm, ...]:
    return (
        _arm("AnyNetX_A", ANYNET_X_A, NETS),
        _arm("AnyNetX_B", ANYNET_X_B, NETS, "AnyNetX_A"),
        _arm("AnyNetX_C", ANYNET_X_C, NETS, "AnyNetX_B"),
        _arm("AnyNetX_D", ANYNET_X_D, NETS, "AnyNetX_C"),
        _arm("AnyNetX_E", ANYNET_X_E, NETS, "AnyNetX_D"),
    )


def _controls() -> tuple[Arm, ...]:
    """What must come out worse, if the instrument works."""
    return (
        _arm("widths fall", replace(ANYNET_X_D, widths="falling"), CONTROLS, "AnyNetX_D"),
        _arm("depths fall", replace(ANYNET_X_E, depths="falling"), CONTROLS, "AnyNetX_E"),
    )


def _factors() -> tuple[Arm, ...]:
    """One thing changed at a time, on RegNets around b = 1 and g of 8 or 16."""
    base = replace(REGNET, bottleneck_ratios=(1.0,), group_widths=(8, 16))
    changed = (
        ("b=2", replace(base, bottleneck_ratios=(2.0,)), WINDOW),
        ("b=4", replace(base, bottleneck_ratios=(4.0,)), WINDOW),
        ("b=1/2", replace(base, bottleneck_ratios=(0.5,)), WINDOW),
        ("g=1", replace(base, group_widths=(1,)), WINDOW),
        ("SE", replace(base, se_ratios=(0.25,)), WINDOW),
        ("24 px", base, AT_24),
    )
    return (
        _arm("b=1", base, FACTORS, pool=RULES_POOL),
        *(_arm(n, s, FACTORS, "b=1", regime=r, pool=RULES_POOL) for n, s, r in changed),
    )


GENERAL: tuple[tuple[str, AnyNetSpace, Regime, int], ...] = (
    ("block R", replace(ANYNET_X_C, frame=replace(FRAME, block="r")), WINDOW, EPOCHS),
    ("block V", replace(ANYNET_X_C, frame=replace(FRAME, block="v")), WINDOW, EPOCHS),
    ("block VR", replace(ANYNET_X_C, frame=replace(FRAME, block="vr")), WINDOW, EPOCHS),
    ("5 stages", replace(ANYNET_X_C, stages=5), WINDOW, EPOCHS),
    ("4 times the flops", ANYNET_X_C, FOUR_TIMES, EPOCHS),
    ("3 times the epochs", ANYNET_X_C, WINDOW, 3 * EPOCHS),
)


def _generality() -> tuple[Arm, ...]:
    """C against D under other conditions, after ten rounds of the rest."""
    found: list[Arm] = []
    for name, space, regime, epochs in GENERAL:
        rising, base = replace(space, widths="rising"), f"C, {name}"
        found += [
            _arm(base, space, GENERALITY, regime=regime, epochs=epochs, delay=10),
            _arm(f"D, {name}", rising, GENERALITY, base, regime=regime, epochs=epochs, delay=10),
        ]
    return tuple(found)


def _sensitivity() -> tuple[Arm, ...]:
    """C, D, E and both controls where every stage halves the resolution, so that orders may matter more."""
    arms = (
        ("C", ANYNET_X_C, ""),
        ("D", ANYNET_X_D, "C"),
        ("E", ANYNET_X_E, "D"),
        ("widths fall", replace(ANYNET_X_D, widths="falling"), "D"),
        ("depths fall", replace(ANYNET_X_E, depths="falling"), "E"),
    )
    frame = replace(FRAME, strides=HALVING)
    return tuple(
        Arm(
            f"{name}, 28 px", replace(space, frame=frame), AT_28, GENERALITY, EPOCHS,
            partner and f"{partner}, 28 px", RULES_POOL, delay=10,
        )
        for name, space, partner in arms
    )  # fmt: skip


def _comparisons() -> tuple[Comparison, ...]:
    """What so many pairs can tell gives the margins (docs/study.md): 40, 20 or 15 of them."""
    return (
        Comparison("one bottleneck ratio for all stages", "AnyNetX_A", "AnyNetX_B", "equal", 2.5),
        Comparison("one group width for all stages", "AnyNetX_B", "AnyNetX_C", "equal", 2.5),
        Comparison("widths that rise", "AnyNetX_C", "AnyNetX_D", "better", 2.5),
        Comparison("depths that rise", "AnyNetX_D", "AnyNetX_E", "better", 2.5),
        Comparison("the quantized linear rule", "AnyNetX_E", "RegNet", "better", 2.5),
        Comparison("the rule refined", "RegNet", "RegNet_refined", "better", 2.5),
        Comparison("control: widths that fall", "AnyNetX_D", "widths fall", "worse", 3.5),
        Comparison("control: depths that fall", "AnyNetX_E", "depths fall", "worse", 3.5),
        Comparison("bottleneck ratio 2", "b=1", "b=2", "worse", 3.5),
        Comparison("bottleneck ratio 4", "b=1", "b=4", "worse", 3.5),
        Comparison("inverted bottleneck", "b=1", "b=1/2", "worse", 3.5),
        Comparison("depthwise convolution", "b=1", "g=1", "worse", 3.5),
        Comparison("SE", "b=1", "SE", "better", 3.5),
        Comparison("24 pixels at the same flops", "b=1", "24 px", "worse", 3.5),
        *(
            Comparison(f"widths that rise, {name}", f"C, {name}", f"D, {name}", "better", 4.0)
            for name, *_ in GENERAL
        ),
        Comparison("control: widths that fall, 28 px", "D, 28 px", "widths fall, 28 px", "worse", 4.0),
        Comparison("control: depths that fall, 28 px", "E, 28 px", "depths fall, 28 px", "worse", 4.0),
        Comparison("widths that rise, 28 px", "C, 28 px", "D, 28 px", "better", 4.0),
        Comparison("depths that rise, 28 px", "D, 28 px", "E, 28 px", "better", 4.0),
    )
