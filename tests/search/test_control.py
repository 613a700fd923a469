from dataclasses import replace
from pathlib import Path

from toy_search import SPACE, TASK, TRAIN, Searched, Width

from nasgtn.evaluation import Report, Scores, evaluate
from nasgtn.evaluation.baselines import Parameters
from nasgtn.records import Evaluation, read_records
from nasgtn.search import SearchConfig, control_group
from nasgtn.search.objective import Problem, proxy_seed
from nasgtn.spaces import Architecture


def problem_in(folder: Path, seed: int = 0) -> Problem:
    made = Searched(folder, SearchConfig(), evaluator=Width(), seed=seed).problem
    return replace(made, records=folder / "control.jsonl")


def ids(records: list[Evaluation]) -> list[str]:
    return [one.architecture_id for one in records]


def draw(
    folder: Path, n: int, *, seed: int = 0, exclude: tuple[str, ...] = (), **limits: int
) -> list[Evaluation]:
    config = SearchConfig(**limits)  # type: ignore[arg-type]
    problem = problem_in(folder, seed)
    return control_group(problem, config, n, searched=(), exclude=exclude)


def test_the_control_comes_from_the_whole_space_and_not_from_what_was_searched(
    tmp_path: Path,
) -> None:
    problem = problem_in(tmp_path)
    narrow = [one for one in SPACE.sample_distinct(64, 0, TASK) if one.choices["width"] == 16]
    searched = [evaluate(Width(), one, seed=proxy_seed(0)) for one in narrow]
    control = control_group(problem, SearchConfig(), 30, searched=searched, exclude=())
    assert len(set(ids(control))) == 30
    assert len({one.choices["width"] for one in control}) > 8
    both = [one for one in control if one in searched]
    assert both == [one for one in control if one.choices["width"] == 16]
    assert read_records(problem.records) == [one for one in control if one not in both]


def test_candidates_and_anchors_are_no_control_and_a_larger_one_keeps_the_smaller(
    tmp_path: Path,
) -> None:
    small = draw(tmp_path, 5)
    assert draw(tmp_path, 9)[:5] == small
    assert len(read_records(tmp_path / "control.jsonl")) == 9  # none was scored twice
    others = draw(tmp_path, 9, exclude=(small[0].architecture_id, small[3].architecture_id))
    assert others[:3] == [small[1], small[2], small[4]]
    assert not {small[0].architecture_id, small[3].architecture_id} & set(ids(others))


def test_the_control_is_seeded_and_scored_as_the_search_scores(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "again", "other")]
    for folder in folders:
        folder.mkdir()
    one, again, other = (
        draw(folder, 6, seed=seed) for folder, seed in zip(folders, (0, 0, 1), strict=True)
    )
    assert ids(one) == ids(again) != ids(other)
    for record in one:
        assert record.score == record.choices["width"]
        assert record.seed == proxy_seed(0)
        assert {"n_parameters", "n_multiply_adds"} == set(record.metrics)


def test_the_limits_of_the_search_hold_for_the_control_too(tmp_path: Path) -> None:
    control = draw(tmp_path, 12, max_params=100)
    counting = Parameters(SPACE, TASK, TRAIN)
    sizes = [counting.score(SPACE.architecture(one.choices), seed=0).score for one in control]
    assert len(sizes) == 12
    assert max(map(abs, sizes)) <= 100


def test_what_cannot_be_scored_is_recorded_and_is_no_control(tmp_path: Path) -> None:
    class Odd(Width):
        def score(
            self, architecture: Architecture, *, seed: int, report: Report | None = None
        ) -> Scores:
            if int(str(architecture.choices["width"])) % 2:
                raise RuntimeError("too odd")
            return super().score(architecture, seed=seed, report=report)

    problem = replace(problem_in(tmp_path), evaluator=Odd())
    control = control_group(problem, SearchConfig(), 10, searched=(), exclude=())
    assert len(control) == 10
    assert all(int(str(one.choices["width"])) % 2 == 0 for one in control)
    failed = [one for one in read_records(problem.records) if one.failure]
    assert failed
    assert all(one.failure == "RuntimeError: too odd" for one in failed)


def test_a_small_space_has_a_small_control(tmp_path: Path) -> None:
    assert len(draw(tmp_path, 70)) <= 64
