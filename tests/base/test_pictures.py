"""Sheets of captioned pictures: every caption can be read, whatever its letters and however long its words."""

import subprocess
import sys

import pytest
import torch
from PIL import ImageFont

from clipgan.base import pictures
from clipgan.base.pictures import draw_grid, drawable, letters, wrap


def test_european_letters_are_drawn_as_they_are():
    text = "ein Vögelchen — 3 €, café, Łódź, жар-птица, πουλί"
    assert drawable(text, letters()) == text
    assert len({bytes(letters().getmask(letter)) for letter in "öé—€жλ"}) == 6  # no two are one and the same box


def test_a_letter_that_the_font_lacks_is_written_as_its_number():
    assert wrap("a 鳥鳥 and a🙂b", 1000, letters()) == ["a U+9CE5 U+9CE5 and a U+1F642 b"]
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    written, drawn = (draw_grid(images, ["c"], labels) for labels in (["U+9CE5", ""], ["鳥", ""]))
    assert written.tobytes() == drawn.tobytes()


def test_without_matplotlib_letters_are_pillows(monkeypatch):
    letters.cache_clear()
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    try:
        assert letters().getname() == ImageFont.load_default(12).getname()
        assert wrap("a ж", 1000, letters()) == ["a U+0436"]
    finally:
        letters.cache_clear()


def test_the_font_is_found_without_the_import_of_matplotlib():
    code = "import sys; from clipgan.base.pictures import letters; print(letters().path, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("DejaVuSans.ttf False\n")


@pytest.mark.parametrize("text", ["", "one", "a few words that need lines", "b" * 100, f"a {'c' * 50} d", "鳥" * 9])
@pytest.mark.parametrize("width", [1, 60, 200])
def test_no_line_is_wider_than_its_row(text, width):
    lines = wrap(text, width, letters())
    assert lines
    assert all(letters().getlength(line) <= width or len(line) == 1 for line in lines)
    assert "".join(lines).replace(" ", "") == drawable(text, letters()).replace(" ", "")
    longest_word = max(map(letters().getlength, text.split()), default=0)
    assert longest_word > width or " ".join(lines) == " ".join(drawable(text, letters()).split())
