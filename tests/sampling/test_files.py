"""Names of files."""

from clipgan.sampling.files import file_names


def test_names_are_words_and_differ():
    names = file_names(["A red bird!", "a red, bird", "a red bird?", "ein grüner Vogel", "???", "x" * 99])
    assert names == ["a-red-bird", "a-red-bird--2", "a-red-bird--3", "ein-grüner-vogel", "prompt", "x" * 60]
