"""The table of what encoders cost."""

from rich.console import Console

from clipgan.encoder_cost import report
from tests.helpers import make_config


def test_it_says_what_it_does_before_it_takes_minutes(capsys):
    report(make_config("batch=2", "resolution=16", "device=cpu"))
    assert "timing 4 encoders with 4 repeats each" in capsys.readouterr().out


def test_each_encoder_has_a_row_for_each_precision():
    table = report(make_config("batch=2", "resolution=16", "device=cpu"))
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    rows = [line.split("│")[1:-1] for line in captured.get().splitlines() if "float" in line]
    assert [row[1].strip() for row in rows] == ["float32", "bfloat16"] * 2
    for row in rows:
        forward, both, peak = (float(cell) for cell in row[2:])
        assert forward > 0
        assert both > 0
        assert peak > 100  # megabytes: torch alone takes that
