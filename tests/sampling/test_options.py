"""The command line of clipgan.sample: what it takes, and what it says of the rest."""

import pytest

from clipgan.base.errors import UserError
from clipgan.sampling.options import check_prompt, parse, parse_prompts, parse_seeds
from tests.users import as_nobody, public_folder

CKPT = f"ckpt={__file__}"  # a file; nothing reads it here


def test_defaults():
    options = parse([CKPT, "prompts=a red bird"])
    assert (options.prompts, options.seeds, options.truncation) == (["a red bird"], tuple(range(8)), 1.0)
    assert (options.rerank, options.interpolate, options.steps) == (None, (), 8)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-3", (0, 1, 2, 3)), ("5", (5,)), ("0,4,9-11", (0, 4, 9, 10, 11)), ("7,1-2, 7", (7, 1, 2)), ("3-3", (3,))],
)
def test_seeds(text, seeds):
    assert parse_seeds("seeds", text) == seeds


def test_prompts_of_a_line_and_of_a_file(tmp_path):
    line = "a red bird; a plate  of food;;a red bird"
    assert parse_prompts("prompts", line, "utf-8") == ["a red bird", "a plate of food"]
    file = tmp_path / "list"
    file.write_text("a: red = bird\n\n ein grüner Vogel; zwei\n", encoding="utf-8")
    assert parse_prompts("prompts", str(file), "utf-8") == ["a: red = bird", "ein grüner Vogel; zwei"]
    assert parse_prompts("prompts", "long " * 100, "utf-8") == [("long " * 100).strip()]  # no name of a file


def test_prompts_in_a_closed_folder(monkeypatch):
    """A text is no path there; a path is refused."""
    with public_folder() as folder:
        (folder / "closed").mkdir(mode=0o700)
        monkeypatch.chdir(folder / "closed")
        with as_nobody():
            assert parse_prompts("prompts", "a red bird", "utf-8") == ["a red bird"]
            with pytest.raises(PermissionError):
                parse_prompts("prompts", f"{folder}/closed/list", "utf-8")


def test_prompts_of_a_file_in_another_encoding(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("ein grüner Vogel\u2028im Baum\r\nzwei\r\n".encode("utf-16"))
    assert parse([CKPT, f"prompts={file}"]).prompts == ["ein grüner Vogel im Baum", "zwei"]
    file.write_bytes("grün\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"prompts\.txt: byte 0xfc is not utf-8; encoding=latin-1, for example, reads"):
        parse([CKPT, f"prompts={file}"])
    assert parse([CKPT, "encoding=latin-1", f"prompts={file}"]).prompts == ["grün"]
    with pytest.raises(UserError, match=r"encoding='utf-9' is not allowed: .*such as utf-8, .*cp1252"):
        parse([CKPT, "encoding=utf-9", f"prompts={file}"])


def test_mlflow_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    assert parse(["run=a", "prompts=b"]).mlflow_tracking_uri == "http://there"
    assert parse(["run=a", "prompts=b", "mlflow.tracking_uri=sqlite:///x"]).mlflow_tracking_uri == "sqlite:///x"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seeds=0-"], ["seeds=0-", "'0-'", "0-7"]),
        (["seeds=-1"], ["seeds=-1", "'-1'"]),
        (["seeds=7-3"], ["seeds=7-3"]),
        (["seeds=1,,2"], ["seeds=1,,2", "''"]),
        (["seeds=a"], ["seeds=a"]),
        (["seeds=1.5"], ["seeds=1.5"]),
        (["seeds=0-999999999"], ["seeds=0-999999999", "10000"]),
        (["seeds="], ["seeds= is empty"]),
        (["seeds=99999999999999999999"], ["seeds=99999999999999999999"]),
        (["truncation=1.1"], ["truncation=1.1", "from 0 to 1"]),
        (["truncation=-0.1"], ["truncation=-0.1"]),
        (["truncation=nan"], ["truncation=nan"]),
        (["truncation=half"], ["truncation=half"]),
        (["prompts="], ["prompts= is empty"]),
        (["prompts=;; "], ["prompts=;;", "holds no prompt"]),
        (["prompts=nowhere.txt"], ["prompts=nowhere.txt", "does not exist"]),
        (["ckpt=/nowhere.pt"], ["ckpt=/nowhere.pt", "does not exist"]),
        (["truncaton=1"], ["truncaton=1", "did you mean truncation", "seeds"]),
        (["red"], ["'red'", "KEY=VALUE"]),
        (["run=x"], ["run=x", "ckpt=", "both"]),
        (["rerank=2", "rerank_clip=foo"], ["rerank_clip=foo", "judge, ViT-B16, ViT-B32"]),
        (["rerank=0"], ["rerank=0", "from 1"]),
        (["rerank=9"], ["rerank=9", "8 seeds"]),
        (["rerank_clip=ViT-B32"], ["rerank_clip=ViT-B32", "rerank=N"]),
        (["hydra.searchpath=[file://my]"], ["hydra.searchpath=[file://my] is not read without rerank_clip"]),
        (["rerank=2", "rerank_clip=open_clip"], ["rerank_clip=open_clip is not allowed"]),
        (["interpolate=noise"], ["interpolate=noise", "latent, text"]),
        (["interpolate=latent", "seeds=3"], ["interpolate=latent", "seeds=3"]),
        (["interpolate=latent", "rerank=1"], ["interpolate=latent", "rerank=1"]),
        (["interpolate=text"], ["interpolate=text", "a bird"]),
        (["steps=1"], ["steps=1", "from 2"]),
    ],
)
def test_bad_settings_are_quoted(arguments, words):
    with pytest.raises(UserError) as caught:
        parse([CKPT, "prompts=a bird", *arguments])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(("arguments", "words"), [([CKPT], "prompts is missing"), (["prompts=a bird"], "run=RUN_ID")])
def test_what_is_missing_is_named(arguments, words):
    with pytest.raises(UserError, match=words):
        parse(arguments)


def test_half_a_character_in_a_prompt_is_refused():
    with pytest.raises(UserError, match=r"prompt=a\\ud800\.\.\. is not allowed: .* surrogates not allowed"):
        check_prompt("prompt", "a\ud800")


def test_a_clip_of_an_own_folder_may_judge(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "mine.yaml").touch()
    given = [CKPT, "prompts=a bird", "rerank=2", "rerank_clip=mine"]
    options = parse([*given, f"hydra.searchpath=[file://{tmp_path}]"])
    assert (options.rerank_clip, options.config_places) == ("mine", [f"hydra.searchpath=[file://{tmp_path}]"])
    with pytest.raises(UserError, match=r"^rerank_clip=mine is not allowed: rerank_clip must be one of judge, ViT-B16"):
        parse(given)
