"""The user's own configuration files: none is ignored without a word, and a mistake in one is one line."""

import codecs
import re
import sys

import pytest

from clipgan.api import sweep
from clipgan.base.errors import UserError
from clipgan.base.installed import conf
from clipgan.config import Config
from clipgan.config.arguments import own_folders
from clipgan.config.command_line import compose_config, with_overrides
from clipgan.config.meanings import meanings
from clipgan.config.mistakes import no_such_key
from clipgan.config.options import groups
from clipgan.config.own_files import refuse_misread
from sweeps.base.settings import dotted_keys
from tests import warm
from tests.helpers import ROOT

LOSS = (conf() / "loss" / "symmetric.yaml").read_text()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes files into the folder `my` of the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "my" / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def train(*arguments):
    """Give the command, and return its status and what it says."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = warm.run(command, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config-dir", "my"],
        ["h=1", "--config-dir=my"],
        ["-cd", "my", "-m"],
        ["hydra.searchpath=[file://my]"],
        ["hydra.searchpath=[pkg://nowhere,my]"],
    ],
)
def test_the_folders_of_a_command_line_are_found(arguments):
    assert [str(folder) for folder in own_folders(arguments)] == ["my"]


def test_the_users_whole_folder_takes_the_place_of_clipgans():
    assert own_folders(["--config-path", "/my", "--config-dir=further"]) == []


def test_an_own_file_that_clipgans_would_hide_is_refused(write):
    write(loss__symmetric=f"{LOSS}more: 1\n")
    said = r"^my/loss/symmetric\.yaml would not be read: clipgan's file of the same name comes first; give each file of"
    place = "hydra.searchpath=[file://my]"
    with pytest.raises(UserError, match=said):
        compose_config([place, "loss=symmetric"])
    recorded = compose_config([])
    with pytest.raises(UserError, match=said):
        with_overrides(recorded, [place, "loss=symmetric"])
    with pytest.raises(UserError, match=said):
        sweep([place, "h=1,2"])
    for arguments in (["--config-dir", "my", "--cfg", "job"], [place], ["-m", "--config-dir=my", "h=1,2"]):
        status, _, err = train(*arguments)
        assert status == 1
        assert re.match(said, err), err


def test_what_tells_about_the_program_is_told_all_the_same(write):
    write(loss__symmetric=f"{LOSS}more: 1\n")
    for flags in (["--help"], ["--info", "searchpath"]):
        status, out, _ = train("--config-dir", "my", *flags)
        assert status == 0
        assert out


def test_a_copy_may_have_other_comments_and_line_ends_but_no_other_header(write, tmp_path):
    write(loss__symmetric=f"# mine\n{LOSS}".replace("\n", "\r\n"))
    refuse_misread([tmp_path / "my"])
    write(loss__symmetric=f"# @package mine\n{LOSS}")
    with pytest.raises(UserError, match="would not be read"):
        refuse_misread([tmp_path / "my"])


def test_a_search_path_is_a_list():
    with pytest.raises(UserError, match=r"hydra\.searchpath=file://my is not allowed: it must be a list, as in"):
        own_folders(["hydra.searchpath=file://my"])


def test_a_recorded_run_takes_no_whole_configuration():
    with pytest.raises(UserError, match="experiment=quick is not read here: give the settings that it chooses one by"):
        with_overrides(compose_config([]), ["experiment=quick"])


def test_files_that_nothing_hides_stay(write, tmp_path):
    """A copy without a change, a primary file, and names that only Hydra has."""
    log = "version: 1\n"
    write(
        loss__symmetric=LOSS,
        loss__mine=LOSS,
        mine="defaults: [config, _self_]\nh: 0.9\n",
        hydra__job_logging__default=log,
    )
    refuse_misread([tmp_path / "my"])
    status, out, err = train("--config-dir", "my", "-cn", "mine", "loss=mine", "--cfg", "job")
    assert (status, err) == (0, "")
    assert out.startswith("h: 0.9\n")


def test_many_hidden_files_are_counted(write):
    write(**{f"grid__{path.stem}": "h: 1" for path in (conf() / "grid").glob("*.yaml")}, budget__kimg="", config="h: 1")
    with pytest.raises(UserError, match=r"^my/budget/kimg\.yaml, my/config\.yaml, my/grid/.* and 2 more would not be"):
        compose_config(["hydra.searchpath=[my]"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: bad\n  generator: [\n", "my/loss/bad.yaml, line 2: this is no YAML ("),
        ("name: a\nname: b\n", "my/loss/bad.yaml, line 2: this is no YAML (found duplicate key name)"),
        ("a: [1\n", "my/loss/bad.yaml, line 2: this is no YAML ("),
        ("a: x\x01\n", "my/loss/bad.yaml: this is no YAML ("),
        ("a: 1\nb: 2\nname: é\n".encode("latin-1"), "my/loss/bad.yaml, line 3: this is not encoded in UTF-8 (invalid"),
        (b"#" * 20_000 + b"\n\xe9: 2", "my/loss/bad.yaml, line 2: this is not encoded in UTF-8 (invalid"),
        ("defaults: {a: b}\n", "Invalid defaults list in 'loss/bad', defaults must be a list (got mapping)"),
        ("defaults: [{a: b, c: d}]\n", "In loss/bad: Too many keys in default item {'a': 'b', 'c': 'd'}"),
        ("name: ${h\n", "name: no viable alternative at input '${h'"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(write, text, said):
    write(loss__bad=text, loss__other="name: é".encode("latin-1"))
    with pytest.raises(UserError) as caught:
        compose_config(["hydra.searchpath=[file://my]", "loss=bad"])
    assert str(caught.value).startswith(said)


def test_the_command_line_says_the_same(write):
    write(loss__bad="name: a\nname: b\n", loss__latin="name: é".encode("latin-1"))
    said = {"bad": "my/loss/bad.yaml, line 2: this is no YAML (found duplicate key name)",
            "latin": "my/loss/latin.yaml, line 1: this is not encoded in UTF-8 (unexpected end of data)"}  # fmt: skip
    for name, expected in said.items():
        for mode in ([], ["-m", "h=1,2"]):
            assert train("--config-dir", "my", f"loss={name}", *mode) == (1, "", f"{expected}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h: 0.9\n", "there is no key experiment: experiment is a group, which experiment=NAME chooses from; a file "
                     "there must begin with `# @package _global_`"),
        ("# @package _global_\ndefaults: [{override /loss: symetric}]\n",
         "loss=symetric is not an option: did you mean symmetric? Options of loss: asymmetric, "),
        ("# @package _global_\ndefaults: [quik]\n",
         "In 'experiment/mine': experiment=quik is not an option: did you mean quick? Options of experiment: "),
        ("# @package _global_\nhydra: {sweeper: {workerz: 2}}\n",
         "In 'experiment/mine': there is no key hydra.sweeper.workerz"),
        ("# @package _global_\nhydra: {sweeper: {workers: many}}\n",
         "In 'experiment/mine': hydra.sweeper.workers=many is not allowed: hydra.sweeper.workers must be a whole"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_own_experiment_is_one_line(write, text, said):
    write(experiment__mine=text)
    with pytest.raises(UserError) as caught:
        compose_config(["hydra.searchpath=[file://my]", "experiment=mine"])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["experiment__mine", "hydra__sweeper__study__sampler__mine"])
def test_a_byte_order_mark_before_a_package_is_named(write, place):
    """Hydra would put the values elsewhere."""
    write(**{place: codecs.BOM_UTF8 + b"# @package _global_\nh: 0.9\n"})
    with pytest.raises(UserError, match=r"^my/.*/mine\.yaml begins with a byte order mark"):
        compose_config(["hydra.searchpath=[file://my]"])


def test_a_byte_order_mark_before_values_changes_nothing(write):
    write(loss__mine=codecs.BOM_UTF8 + LOSS.encode())
    assert compose_config(["hydra.searchpath=[file://my]", "loss=mine"]).loss == compose_config([]).loss


def test_the_users_own_options_are_suggested(write):
    write(loss__mine=LOSS)
    for given in ("[symmetric,mime]", "mime"):
        with pytest.raises(
            UserError, match=r"^loss=mime is not an option: did you mean mine\? Options of loss: .*mine"
        ):
            compose_config(["hydra.searchpath=[file://my]", f"loss={given}"])


def test_of_a_key_that_other_options_have_they_are_named():
    with pytest.raises(UserError, match=r"^data\.caption_column is no key .*that have it: metadata, webdataset$"):
        compose_config(["data=coco", "data.path=x", "data.caption_column=text"])
    with pytest.raises(UserError, match=r"^metrics\.judge\.train\.steps is no key of this configuration$"):
        compose_config(["metrics=fid5k", "metrics.judge.train.steps=2"])


def test_no_suggestion_is_what_was_given():
    every = [*meanings(Config), *groups(), *dotted_keys()]
    for name in every:
        assert f"did you mean {name}?" not in no_such_key(name, dotted_keys())
        assert f"did you mean {name}?" not in no_such_key(f"{name}.x", dotted_keys())
