"""`nasgtn compare`: what it prints, the page it writes, and what it keeps for the next time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Nasgtn, Refused, write_tiny_table
from page_reader import Reader

from nasgtn.records import read_records

Args = tuple[object, ...]


@pytest.fixture
def compare(toy_archive: Path, tiny_space_file: Path) -> Callable[..., Args]:
    """Arguments of a comparison of few toy architectures."""

    def args(estimators: str, *more: object, n: int = 6) -> Args:
        where = ("--dataset", toy_archive, "--space", tiny_space_file, "--quiet", *QUICK)
        return "compare", *where, "--estimators", estimators, "--architectures", n, *more

    return args


def test_estimators_are_compared_with_trained_truth(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    args = compare("gtn,real:4,params", "--out", tmp_path / "c.jsonl")
    outcome = nasgtn(*args, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    gtn, real, params = told["estimators"]
    assert [row["estimator"] for row in (gtn, real, params)] == ["gtn", "real:4", "params"]
    wanted = {"estimator", "n", "spearman", "spearman_interval", "kendall", "best_half"}
    wanted |= {"best_tenth", "seconds_per_candidate", "kendall_interval", "best_half_interval"}
    wanted |= {"best_tenth_interval", "top_k", "top_k_recall", "regret", "partial", "n_failed"}
    assert all(wanted <= set(row) for row in told["estimators"])
    assert gtn["n"] == 6
    assert gtn["preparation_seconds"] > 0
    assert real["setting"].startswith("learning rate ")
    assert real["preparation_seconds"] > real["seconds_per_candidate"]
    assert params["preparation_seconds"] == 0
    again = nasgtn(*args, "--json")
    assert json.loads(again.out) == told
    assert gtn["multiply_adds_per_candidate"] > 0 == params["multiply_adds_per_candidate"]
    shown = nasgtn(*args).out
    assert real["setting"] in shown
    assert "multiply-adds/candidate" in shown
    assert f"{real['multiply_adds_per_candidate']:,.0f}" in shown


@pytest.mark.slow
def test_estimators_are_compared_with_a_table(
    nasgtn: Nasgtn, refused: Refused, shared_data: Path, toy_archive: Path
) -> None:
    table = shared_data / "nasbench_macro_cifar10.csv.gz"
    args = (
        *("compare", "--space", "nasbench_macro", "--dataset", toy_archive, "--quiet"),
        *("--architectures", 24, "--estimators", "flops,params", "--json", "--truth"),
    )
    outcome = nasgtn(*args, f"{table}:test_acc_mean")
    assert outcome.code == 0, outcome.err
    flops, params = json.loads(outcome.out)["estimators"]
    assert flops["n"] == params["n"] == 24
    assert flops["spearman"] > 0.4
    assert "test_acc_mean" in refused(*args, f"{table}:test_acc_men", code=2)
    refused(*args, f"{shared_data}/none.csv:test_acc_mean", code=1)
    assert "did you mean flops" in refused(*args[:8], "--estimators", "flop", code=2)


def test_the_best_tenth_gets_more_architectures_from_a_table(
    nasgtn: Nasgtn, refused: Refused, compare: Callable[..., Args], tmp_path: Path
) -> None:
    write_tiny_table(tmp_path / "table.csv")
    args = compare("gtn,params", "--json", "--best-tenth", 2, n=3)
    outcome = nasgtn(*args, "--truth", f"{tmp_path}/table.csv:test")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["n_best"] == 2
    gtn, params = told["estimators"]
    assert gtn["n"] == params["n"] == 3  # all of them are the best tenth, which has three
    assert gtn["n_best_tenth"] == params["n_best_tenth"] == 3 + 2
    page = tmp_path / "page.html"
    args = compare("params", "--best-tenth", 2, n=3)
    outcome = nasgtn(*args, "--truth", f"{tmp_path}/table.csv:test", "--html", page)
    assert "3 architectures and 2 more of the best tenth" in outcome.out
    assert "2 more architectures of the best tenth judge the order there" in page.read_text()
    args = compare("gtn,params", "--best-tenth", 2, n=3)
    assert "--best-tenth needs a table" in refused(*args, "--truth", "train", code=2)


def test_the_truth_is_kept_when_only_proxy_or_generator_change(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    args = compare("gtn,real:4@0.02,params", "--out", tmp_path / "c.jsonl", "--json", n=4)
    first = nasgtn(*args)
    assert first.code == 0, first.err
    truth = read_records(tmp_path / "c.jsonl")
    assert [record.evaluator for record in truth] == ["ground_truth"] * 4
    changes = (
        ("--set", "proxy.metric=loss"),
        ("--set", "gtn.curriculum.batch_size=6"),
        ("--generator", next(tmp_path.glob("c.*.generator"))),
    )
    for number, change in enumerate(changes, start=2):
        outcome = nasgtn(*args, *change)
        assert outcome.code == 0, outcome.err
        assert read_records(tmp_path / "c.jsonl") == truth
        kept = list(tmp_path.glob("c.????????????.jsonl"))
        assert len(kept) == number
        assert all(len(read_records(path)) == 3 * 4 for path in kept)
    assert nasgtn(*args).out == first.out


@pytest.mark.parametrize(
    "change",
    [("--seed", 1), ("--set", "training.epochs=3"), ("--set", "data.max_images=60")],
    ids=["seed", "training", "data"],
)
def test_a_truth_of_other_settings_is_refused(
    nasgtn: Nasgtn,
    refused: Refused,
    compare: Callable[..., Args],
    tmp_path: Path,
    change: tuple[object, ...],
) -> None:
    args = compare("params", "--out", tmp_path / "c.jsonl", n=3)
    assert nasgtn(*args).code == 0
    assert "same settings" in refused(*args, *change, code=1)


def test_a_truth_of_other_files_is_refused(
    nasgtn: Nasgtn, refused: Refused, compare: Callable[..., Args], tmp_path: Path
) -> None:
    space = tmp_path / "space.py"
    args = compare("params", "--space", space, "--out", tmp_path / "c.jsonl", n=3)
    original = Path(str(args[args.index("--space") + 1])).read_text()
    space.write_text(original)
    assert nasgtn(*args).code == 0
    space.write_text(original.replace("nn.Tanh()", "nn.GELU()"))
    assert "same settings" in refused(*args, code=1)


def test_a_page_is_written_with_the_command_that_repeats_it(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    html = tmp_path / "new" / "page of it.html"
    args = compare("flops,naswot", "--html", html, "--truth-seeds", 2)
    outcome = nasgtn(*args)
    assert outcome.code == 0, outcome.err
    assert "naswot" in outcome.out
    text = " ".join(Reader(html.read_text(encoding="utf-8")).text.split())
    assert "mean of 2 trainings" in text
    assert "nasgtn compare" in text
    assert f"--html '{html}'" in text
    assert "--set gtn.curriculum.n_steps=4 --set" in text
    assert "--device" not in text


def test_every_generator_has_rows_of_its_own_and_no_anchor_is_compared(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    out = tmp_path / "c.jsonl"
    args = compare(
        "gtn,ensemble,fused,calibrated,params", "--out", out, "--generators", 2, "--json"
    )
    outcome = nasgtn(*args, "--set", "anchors.n=9")
    assert outcome.code == 0, outcome.err
    rows = {row["estimator"]: row for row in json.loads(outcome.out)["estimators"]}
    assert list(rows) == [
        *("gtn, generator 0", "gtn, generator 1", "ensemble"),
        *("fused, generator 0", "fused, generator 1", "fused without gtn"),
        *("calibrated, generator 0", "calibrated, generator 1"),
        *("calibrated without gtn, generator 0", "calibrated without gtn, generator 1"),
        "params",
    ]
    compared = {record.architecture_id for record in read_records(out)}
    folders = sorted(tmp_path.glob("c.*.generator*"))
    drawn = [
        {record.architecture_id for record in read_records(folder / "anchors.jsonl")}
        for folder in folders
    ]
    assert [len(ids) for ids in drawn] == [9, 9]
    assert drawn[0] != drawn[1]
    assert compared.isdisjoint(drawn[0] | drawn[1])
    anchored = rows["calibrated, generator 0"]["preparation_seconds"]
    assert anchored > rows["calibrated without gtn, generator 0"]["preparation_seconds"] > 0
    assert rows["fused without gtn"]["preparation_seconds"] == 0
    for cost in ("preparation_seconds", "seconds_per_candidate"):
        both = rows["gtn, generator 0"][cost] + rows["gtn, generator 1"][cost]
        assert rows["ensemble"][cost] == pytest.approx(both)


def test_too_few_anchors_to_calibrate_by_are_one_clear_line(
    nasgtn: Nasgtn, compare: Callable[..., Args]
) -> None:
    """Nine are asked for, but the space has 16, of which 12 are compared."""
    outcome = nasgtn(*compare("calibrated", n=12), "--set", "anchors.n=9")
    assert outcome.code == 2
    assert "calibrated needs at least 8 anchors with an accuracy, got 4" in outcome.err


def test_generators_share_anchors_and_do_not_depend_on_the_proxy(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    args = compare("gtn", "--out", tmp_path / "c.jsonl", "--generators", 2, "--json", n=3)
    for change in ("proxy.n_images=24", "proxy.n_images=32", "gtn.curriculum.batch_size=6"):
        outcome = nasgtn(*args, "--set", change, "--set", "anchors.n=3")
        assert outcome.code == 0, outcome.err
    assert len(list(tmp_path.glob("c.????????????.jsonl"))) == 3
    folders = list(tmp_path.glob("c.*.generator*"))
    assert len(folders) == 2 * 2
    trainings = [
        {(one.architecture_id, one.seed, one.seconds) for one in read_records(file)}
        for file in (folder / "anchors.jsonl" for folder in folders)
    ]
    assert [len(one) for one in trainings] == [3] * 4
    assert len(set().union(*trainings)) == 2 * 3  # seconds are never equal by chance


def test_a_kept_generator_never_judges_its_anchors(
    nasgtn: Nasgtn, refused: Refused, compare: Callable[..., Args], tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "c.jsonl", "--set", "anchors.n=9")
    assert nasgtn(*compare("gtn", *out, n=2)).code == 0
    assert "anchors among them" in refused(*compare("gtn", *out, n=20), code=1)


def test_architectures_exclude_the_anchors_of_a_given_generator(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    first = tmp_path / "c.jsonl"
    assert nasgtn(*compare("gtn", "--out", first, "--json")).code == 0
    (folder,) = tmp_path.glob("c.*.generator")
    anchors = {record.architecture_id for record in read_records(folder / "anchors.jsonl")}
    again = tmp_path / "again.jsonl"
    outcome = nasgtn(*compare("gtn", "--out", again, "--generator", folder, "--json", n=12))
    assert outcome.code == 0, outcome.err
    assert anchors.isdisjoint(record.architecture_id for record in read_records(again))


def test_the_rungs_of_an_estimator_are_rows_of_their_own(
    nasgtn: Nasgtn, compare: Callable[..., Args], tmp_path: Path
) -> None:
    args = compare(
        "gtn,real:4@0.02,params",
        "--set",
        "proxy.rungs=[1,2]",
        "--set",
        "proxy.metric=accuracy",
        "--json",
        n=6,
    )
    outcome = nasgtn(*args)
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["estimators"]
    names = [row["estimator"] for row in rows]
    assert names[:4] == ["gtn", "gtn after 1", "gtn after 2", "real:4@0.02"]
    assert names[4:] == ["real:4@0.02 after 1", "real:4@0.02 after 2", "params"]
    whole, one, two = (row["seconds_per_candidate"] for row in rows[:3])
    assert (4 * one, 2 * two) == pytest.approx((whole, whole))
