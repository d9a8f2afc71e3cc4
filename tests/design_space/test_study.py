"""A study's networks are balanced from the first round on, its pairs alike, and its answers honest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.cli.study import command
from regnet_edge.complexity import complexity
from regnet_edge.design_space import fashion_study, study_file
from regnet_edge.design_space.coupling import distances, partners
from regnet_edge.design_space.population import Task
from regnet_edge.design_space.records import Record, Table, TrainingSubject, append, read
from regnet_edge.design_space.sampling import sample
from regnet_edge.design_space.spaces import ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D, REGNET
from regnet_edge.design_space.spans import Span
from regnet_edge.design_space.stage_counts import Frame
from regnet_edge.design_space.study import PILOT, Arm, Comparison, Refinement, Study
from regnet_edge.design_space.study_report import outcomes, seed_noise
from regnet_edge.design_space.sweep import sweep
from regnet_edge.errors import UsageError

WINDOW = fashion_study.WINDOW
FRAMED = [replace(s, frame=fashion_study.FRAME) for s in (ANYNET_X_A, ANYNET_X_B, ANYNET_X_C, ANYNET_X_D)]
SMALL = Study(
    "small",
    Task("fashion-mnist"),
    (
        Arm("C", FRAMED[2], WINDOW, 12, 2, pool=60),
        Arm("D", FRAMED[3], WINDOW, 12, 2, "C", pool=60),
        Arm("R", replace(REGNET, frame=fashion_study.FRAME), WINDOW, 12, 2, delay=3),
    ),
    (
        Comparison("rising", "C", "D", "better", 2.0),
        Comparison("rule", "D", "R", "equal", 2.0),
        Comparison("refined", "R", "R+", "better", 2.0),
    ),
    Refinement("R+", "R", 6, best=4),
    pilot=(3, 4),
    ceiling=40.0,
)


def record(subject: TrainingSubject, error: float | None) -> Record:
    failed = Record.failed(subject, "out of memory")
    return failed if error is None else replace(failed, failure="", error=error)


def table_of(errors: dict[str, Sequence[float | None]]) -> Table:
    """Records of SMALL's networks with these errors by arm."""
    by_arm: dict[str, list[TrainingSubject]] = {}
    for s in SMALL.population().subjects:
        by_arm.setdefault(s.arm, []).append(s)
    found = [record(s, e) for arm, es in errors.items() for s, e in zip(by_arm[arm], es, strict=False)]
    return Table(tuple(found))


class TestPlan:
    def test_every_round_has_each_arm_once(self) -> None:
        subjects = SMALL.population().subjects
        assert Counter(s.arm for s in subjects) == {"C": 12, "D": 12, "R": 12, PILOT: 12}
        begun = [s.arm for s in subjects[: 3 * (4 + 2)]]  # three rounds of four seeds, C and D
        assert Counter(begun) == {PILOT: 12, "C": 3, "D": 3}
        assert [s.index for s in subjects if s.arm == "D"] == list(range(12))

    def test_partners_share_their_seed_and_are_alike(self) -> None:
        by_arm = {arm: [s for s in SMALL.population().subjects if s.arm == arm] for arm in ("C", "D")}
        pairs = list(zip(by_arm["C"], by_arm["D"], strict=True))
        assert all(c.seed == d.seed and c.index == d.index for c, d in pairs)
        apart = [abs(c.config.depth - d.config.depth) for c, d in pairs]
        strangers = [
            abs(sum(c.config.depths) - sum(d.config.depths)) for c in by_arm["C"] for d in by_arm["D"]
        ]
        assert np.mean(apart) < 0.6 * np.mean(strangers)
        assert all(list(d.config.widths) == sorted(d.config.widths) for _, d in pairs)

    def test_matching_is_one_to_one_and_no_farther_than_the_order_of_draws(self) -> None:
        one, other = FRAMED[0], FRAMED[1]
        first, second = (sample(s, 80, 0, WINDOW).drawn for s in (one, other))
        places = partners(one, first, other, second)
        assert sorted(places) == list(range(80))
        cost = distances(one, first, other, second)
        assert cost[np.arange(80), places].mean() < 0.7 * np.diag(cost).mean()
        with pytest.raises(UsageError, match="pools of one size"):
            partners(one, first, other, second[:5])

    def test_a_network_does_not_differ_from_itself(self) -> None:
        drawn = sample(FRAMED[2], 5, 0, WINDOW).drawn
        assert np.diag(distances(FRAMED[2], drawn, FRAMED[2], drawn)) == pytest.approx(0)

    def test_the_refined_arm_joins_when_its_start_is_complete_and_keeps_to_its_best(self) -> None:
        errors = [30.0, 20, 21, 22, 23, 35, 36, 37, 38, 39, 39, None]
        found = table_of({"R": errors})
        assert len(SMALL.population(Table(found.records[:-1])).subjects) == 48
        grown = SMALL.population(found).subjects
        assert grown[:48] == SMALL.population().subjects
        refined = [s for s in grown if s.arm == "R+"]
        assert len(refined) == 6
        best = [r for r in found.records if r.error is not None and r.error <= 23]
        for s in refined:
            counts = complexity(s.config, 16)
            assert counts.params <= max(r.params for r in best)
            assert counts.activations <= max(r.activations for r in best)
            assert min(r.subject.config.depth for r in best) <= s.config.depth
            assert s.config.depth <= max(r.subject.config.depth for r in best)
            assert s.rule is not None
            assert s.rule.wm >= 2
            assert all(stage.bottleneck_ratio == 1 for stage in s.config.stages)

    def test_this_projects_study_suits_its_images_and_its_size(self) -> None:
        study = fashion_study.study()
        assert sum(a.nets for a in study.arms) + study.pilot[0] * study.pilot[1] == 735
        assert study.times(10).arm("AnyNetX_A").nets == 400
        config = sample(study.arm("AnyNetX_A").space, 1, 0, WINDOW).configs[0]
        assert (config.in_channels, config.num_classes) == (1, 10)

    def test_what_was_added_to_the_study_changed_no_network_of_it(self) -> None:
        """Records that are committed stay records of this study."""
        found = {s.key for s in fashion_study.study().population().subjects}
        committed = read(Path(__file__).parents[2] / "docs" / "study").records
        missing = [r.subject.arm for r in committed if r.subject.key not in found]
        assert set(missing) <= {"RegNet_refined"}  # which joins when those it follows are trained

    def test_studies_that_make_no_sense_are_refused(self) -> None:
        with pytest.raises(UsageError, match="compares arms that it does not have: E"):
            replace(SMALL, comparisons=(Comparison("?", "C", "E", "equal", 1.0),))
        with pytest.raises(UsageError, match="stands before its partner"):
            replace(SMALL, arms=SMALL.arms[::-1])


class TestAnswers:
    def test_pairs_tell_what_two_samples_do_not(self) -> None:
        base = np.random.default_rng(0).uniform(20, 35, 12)
        found = table_of({"C": base, "D": base - 1.5 - 0.1 * np.arange(12) / 12})
        first = outcomes(SMALL, found)[0]
        assert (first.verdict, first.agrees, first.n) == ("better", True, 12)
        assert first.difference == pytest.approx(-1.55, abs=0.01)
        assert first.within  # real, and less than the margin
        assert first.detectable < 0.1

    def test_networks_that_are_not_partners_are_compared_as_two_samples(self) -> None:
        rng = np.random.default_rng(1)
        found = table_of({"D": rng.normal(25, 4, 12), "R": rng.normal(25, 4, 12)})
        rule = outcomes(SMALL, found)[1]
        assert rule.verdict == "cannot be told"
        assert rule.agrees is None
        assert rule.detectable == pytest.approx(2.8 * 4 * np.sqrt(2 / 12), rel=0.4)

    def test_equal_means_an_interval_within_the_margin(self) -> None:
        base = np.random.default_rng(0).uniform(20, 35, 12)
        near = base + np.tile([-0.4, 0.4], 6)
        answer = outcomes(replace(SMALL, comparisons=(Comparison("same", "C", "D", "equal", 2.0),)),
                          table_of({"C": base, "D": near}))[0]  # fmt: skip
        assert (answer.verdict, answer.agrees) == ("equal", True)

    def test_failures_and_errors_above_the_ceiling_count_as_the_ceiling(self) -> None:
        found = table_of({"C": [30.0] * 12, "D": [90.0, None, *[30.0] * 10]})
        assert outcomes(SMALL, found)[0].difference == pytest.approx(2 * 10 / 12)

    def test_few_networks_or_none_tell_nothing(self) -> None:
        answers = outcomes(SMALL, table_of({"C": [30.0] * 4, "D": [20.0] * 4}))
        assert [a.n for a in answers] == [4, 0, 0]
        assert {a.verdict for a in answers} == {"cannot be told"}

    def test_the_noise_of_one_training_is_that_within_networks(self) -> None:
        by_net = [20.0, 21.0, 19.0, 20.0, 30.0, 29.0, 31.0, 30.0, 50.0, 60.0, 70.0]  # the last lacks a seed
        sd, freedom = seed_noise(table_of({PILOT: by_net}), SMALL.ceiling)
        assert freedom == 3 + 3 + 2
        assert sd == pytest.approx(np.sqrt(4 / 8))
        assert np.isnan(seed_noise(Table(()))[0])


class TestVerb:
    def test_the_plan_is_printed_before_anything_is_run(self) -> None:
        text = CliRunner().invoke(command, ["plan"]).output
        assert "735 networks" in text
        assert "control: widths that fall" in text
        told = json.loads(CliRunner().invoke(command, ["plan", "--json", "--times", "2"]).output)
        assert told["arms"][0]["nets"] == 80

    def test_the_plan_shows_whether_group_widths_are_clipped_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wide = replace(SMALL.arms[0], space=replace(FRAMED[0], width=Span(64, 256, 8)), name="A", nets=3)
        narrow = replace(SMALL.arms[0], space=replace(FRAMED[2], width=Span(8, 16, 8), group_widths=(32,)))
        study = replace(SMALL, arms=(wide, narrow), comparisons=(), refinement=None)
        monkeypatch.setattr(fashion_study, "study", lambda: study)
        told = json.loads(CliRunner().invoke(command, ["plan", "--networks", "--json"]).output)
        assert [t["arm"] for t in told] == ["A", "C"]
        assert told[0]["clipped"] is None
        assert 0.2 < told[1]["clipped"] < 0.6
        assert told[0]["widest"] > 64 > told[1]["widest"]

    def test_a_part_of_the_records_is_reported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fashion_study, "study", lambda: SMALL)
        base = np.random.default_rng(0).uniform(20, 35, 12)
        append(tmp_path / "records.jsonl", table_of({"C": base, "D": base + 3, PILOT: base}).records)
        text = CliRunner().invoke(command, ["report", "--out", str(tmp_path)]).output
        assert "36 of 54 networks have a record, 0 of them failed" in text
        assert "+3.00 to +3.00" in text
        assert "one training's noise" in text
        told = json.loads(CliRunner().invoke(command, ["report", "--out", str(tmp_path), "--json"]).output)
        assert [a["verdict"] for a in told["answers"]] == ["worse", "cannot be told", "cannot be told"]

    def test_a_run_goes_on_to_the_refined_arm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def instant(task: Task, subjects: Sequence[TrainingSubject], **_: object) -> Iterator[Record]:
            yield from (record(s, 20.0 + s.index) for s in subjects)

        monkeypatch.setattr(fashion_study, "study", lambda: SMALL)
        monkeypatch.setattr("regnet_edge.design_space.workers.train_all", instant)
        done = CliRunner().invoke(command, ["run", "--out", str(tmp_path), "--pilot"])
        assert "12 of 12 networks are trained" in done.output
        done = CliRunner().invoke(command, ["run", "--out", str(tmp_path)])
        assert "54 of 54 networks are trained" in done.output, done.output
        assert len(sweep(SMALL.population(), tmp_path, instant).records) == 48  # without the refined ones


TOP = "data: fashion-mnist\nflops: [1e6, 2.0e+6]\n"


class TestFile:
    def test_the_documented_study_is_read(self, tmp_path: Path) -> None:
        page = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
        file = tmp_path / "mine.yaml"
        file.write_text(page.split("```yaml\n")[1].split("```")[0])
        study = study_file.read(file)
        assert [(a.name, a.nets, a.partner) for a in study.arms] == [
            ("C", 40, ""), ("D", 40, "C"), ("narrow", 40, ""),
        ]  # fmt: skip
        first = study.arms[0]
        assert first.space.frame == Frame(1, 10, 16, 2, (1, 2, 2, 2))
        assert (first.regime.min_flops, first.regime.resolution, first.epochs) == (4e6, 28, 10)
        assert study.task == Task("fashion-mnist", train_images=6000, evaluate_every=0)
        assert (study.ceiling, study.comparisons[1].expected) == (40.0, "equal")
        text = CliRunner().invoke(command, ["plan", "--study", str(file)]).output
        assert "160 networks" in text  # 120 and a pilot of 40

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("data: fashion-mnist", "a study has at least data, flops, arms"),
            ("[1, 2]", "a study has at least"),
            (f"{TOP}arms: []", "a study has at least one arm"),
            (f"{TOP}arms: []\ncolour: red", "a study has no colour"),
            (f"{TOP}arms: [{{name: C}}]", "an arm has at least name, space, nets"),
            (
                f"{TOP}arms: [{{name: C, space: RegNet, nets: 3, flops: 7}}]",
                r"flops are \[low, high\], not 7",
            ),
            (f"{TOP}arms: [{{name: C, space: Q, nets: 3}}]", "unknown design space"),
            (f"{TOP}arms: []\ntask: {{lr: fast}}", "lr"),
            ("data: {", "it is no YAML: .* in line 1"),
            (f"{TOP}arms: 3", "arms is a list, not 3"),
            (f"{TOP}arms: []\ntask: 3", "task is a mapping, not 3"),
            (f"{TOP}arms: [{{name: C, space: RegNet, nets: two}}]", "a whole number of nets from 1 up"),
            (f"{TOP}arms: [{{name: C, space: RegNet, nets: 3, epochs: 0}}]", "a whole number of epochs"),
            (
                f"{TOP}arms: [{{name: C, space: RegNet, nets: 3}}]\n"
                "refinement: {name: r, start: q, nets: 2}",
                "starts from 'q', which is no arm of rules",
            ),
        ],
    )
    def test_a_file_that_is_no_study_is_named_with_what_is_wrong(
        self, content: str, sentence: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "bad.yaml"
        file.write_text(content)
        with pytest.raises(UsageError, match=sentence) as caught:
            study_file.read(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(UsageError, match="no file at"):
            study_file.read(tmp_path / "nowhere.yaml")
