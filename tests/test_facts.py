from pathlib import Path

import pytest

from nasgtn.artefacts import FORMAT
from nasgtn.errors import ArtefactError
from nasgtn.facts import read_facts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"must be the folder of a run, but has no config\.toml"),
        ("seed = 0\n", rf"format {FORMAT}, which nasgtn .* reads, got format None"),
        ("versions = 1\n", "got format None"),
        ("[versions]\nformat = 99\n", "got format 99"),
        (
            f"[versions]\nformat = {FORMAT}\n",
            "must have the tables versions, environment, task",
        ),
        ("no [toml", "must be a TOML file"),
    ],
)
def test_a_folder_that_is_no_run_is_one_clear_line(
    text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ArtefactError, match=message) as caught:
        read_facts(tmp_path)
    assert "\n" not in str(caught.value)
