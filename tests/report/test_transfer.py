"""The page of a transfer matrix."""

from page_reader import HOSTILE, Reader

from nasgtn.report.transfer import TransferData, render_transfer


def test_text_from_outside_stays_text() -> None:
    data = TransferData(
        tables={HOSTILE: [["trained on", HOSTILE], [HOSTILE, "0.5"]]},
        dataset=HOSTILE,
        space=HOSTILE,
        by=HOSTILE,
        command=HOSTILE,
        config={"data": {"name": HOSTILE}},
        environment={HOSTILE: HOSTILE},
    )
    page = render_transfer(data)
    reader = Reader(page)
    assert not [name for name, _ in reader.tags if name in ("img", "b")]
    assert "window.hacked" not in "".join(script for _, script in reader.scripts)
    assert reader.text.count("window.hacked = 1") >= 8
    assert render_transfer(data) == page
