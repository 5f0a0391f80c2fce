"""Names of files."""

from clipgan.sampling.files import file_names


def test_names_are_words_and_differ():
    names = file_names(["A red bird!", "a red, bird", "a red bird?", "ein grüner Vogel", "???", "x" * 99])
    assert names == ["a-red-bird", "a-red-bird--2", "a-red-bird--3", "ein-grüner-vogel", "prompt", "x" * 60]


def test_a_long_prompt_is_cut_between_words():
    first, second = file_names(["a red bird " * 20, "a red bird " * 30])
    assert first == "a-red-bird-" * 5 + "a"
    assert second == f"{first}--2"
    assert file_names(["鳥" * 99]) == ["鳥" * 20]  # a name may have 255 bytes
