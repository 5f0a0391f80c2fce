"""The command line: paths with any characters, and a message for what Hydra's grammar cannot read."""

import errno
import os
import re
import sys
from contextlib import suppress
from importlib import import_module

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clipgan.base.durable_files import replace_text
from clipgan.base.errors import UserError
from clipgan.base.text import printable
from clipgan.config import Config
from clipgan.config.arguments import PATH_KEYS, quote_paths, quoted
from clipgan.config.command_line import compose_config, messages_not_tracebacks, with_overrides
from clipgan.config.meanings import meanings
from clipgan.config.mistakes import LAFITES
from sweeps.base.settings import Settings
from tests.helpers import make_config

ODD = ["/a/b&c", "/a#1", "/a(1)", "/a[1]", "/a{1}", "/a;b", "/a=b", "/a,b", "it's", 'say "x"', "/dätä/画", "1e3", "12",
       "[x]", "{a: b}", "-x", "/a b ", "/a\\'b,c", "glob(*)", "true", "a:b"]  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["h=2", "data=coco", "data.path=/a b&c", "metrics.n_images=5", "loss=asymmetric", "h=3"],
        ["+loss.generator.CLIP.it.h=1", "~loss.generator.D", "experiment=quick", "clip@metrics.judge=tiny"],
        ["task=simclr", "pairs=plain", "hydra.job.chdir=false", "epochs=3"],
    ],
)
def test_the_tests_own_way_to_a_configuration_is_the_commands(overrides):
    assert make_config(*overrides) == compose_config(overrides)


def test_mlflows_environment_names_the_experiment(monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert compose_config([]).mlflow.experiment == "clipgan"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "3")
    assert compose_config([]).mlflow.experiment == "3"


def test_what_sets_an_option_of_lafite_is_a_key_or_a_group():
    known = {*meanings(Config), "augment", "hydra.run.dir"}
    for text in LAFITES.values():
        assert known & set(re.findall(r"[\w.]+", text)), text
        assert {word for word in re.findall(r"\w+\.[\w.]+", text)} <= known, text


def read(argument):
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("path", ODD)
def test_a_path_is_read_as_it_is_written(path):
    [argument] = quote_paths([f"data.path={path}"])
    assert read(argument) == path
    assert read(f"hydra.run.dir={quoted(path)}") == path


def test_every_key_of_a_path_is_known():
    keys = [*meanings(Config), *(f"hydra.sweeper.{key}" for key in meanings(Settings))]
    end = re.compile(r"(?:path|checkpoint|_weights|_uri|_dir|\.storage)$")
    assert [key for key in keys if end.search(key) and key not in PATH_KEYS] == []
    for key in PATH_KEYS:
        [argument] = quote_paths([f"++{key}=/a (1), b"])
        assert read(argument) == "/a (1), b"


@pytest.mark.parametrize("kept", ["data.path=/a", "data.path='/a (1)'", 'data.path="/a, b"', "data.path=/a\\,b",
                                  "init=null", "resume=auto", "h=1,2", "data.path=${oc.env:HOME}"])  # fmt: skip
def test_what_hydra_reads_as_it_is_meant_stays(kept):
    assert quote_paths([kept]) == [kept]


def test_in_a_sweep_commas_separate_paths():
    assert quote_paths(["-m", "init=/a,/b"]) == ["-m", "init=/a,/b"]
    assert quote_paths(["--multirun", "data.path=/a (1)", "h=1,2"]) == ["--multirun", "data.path='/a (1)'", "h=1,2"]


def test_a_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/é")
    assert quote_paths(["cache_dir=~/x"]) == ["cache_dir='/home/é/x'"]
    monkeypatch.setenv("HOME", "/home/me")
    assert quote_paths(["cache_dir=~/x"]) == ["cache_dir=/home/me/x"]
    assert quote_paths(["-m", "init=~/a,~/b"]) == ["-m", "init=/home/me/a,/home/me/b"]
    assert quote_paths(["init=~/a,~/b"]) == ["init='/home/me/a,~/b'"]  # one file


def test_no_command_takes_an_empty_path():
    """It would be the working directory. A flag's value is none of the overrides."""
    recorded = compose_config([])
    for read in (compose_config, lambda given: with_overrides(recorded, given), quote_paths):
        with pytest.raises(UserError, match=r"^data\.path= is empty: give data\.path=VALUE, or leave it out$"):
            read(["h=1", "data.path="])
    assert quote_paths(["--config-dir", "cache_dir=", "h=1"]) == ["--config-dir", "cache_dir=", "h=1"]


def refusal(block):
    with pytest.raises(SystemExit) as ended, messages_not_tracebacks():
        block()
    return str(ended.value)


def test_what_the_system_refuses_is_one_message(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 300)
    assert "a file's name is too long for the file system: " in refusal(long.touch)

    def broken(*_):  # a disk that fails
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    path = tmp_path / "latest.pt"
    assert f"{path} cannot be written (Input/output error)" in refusal(lambda: replace_text(path, "new"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert f"{loop}/x cannot be written (Too many levels of symbolic links)" in refusal((loop / "x").mkdir)
    loop.unlink()
    assert not list(tmp_path.iterdir())
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refusal(lambda: None) == "the working directory has been deleted: change into another one with cd DIR"
    monkeypatch.chdir("/")


def test_other_commands_take_such_paths_too():
    assert make_config("data=folder", "data.path=/a (1), b").data.path == "/a (1), b"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mlflow.experiment=a(b", "\"mlflow.experiment='a(b'\""),
        ("mlflow.experiment=é$(", "'mlflow.experiment='\"'\"'é$('\"'\"''"),
        ("h=\x1b]0;(", "\"h='\\x1b]0;('\""),
    ],
)
def test_a_value_that_cannot_be_read_is_shown_in_quotes(given, said):
    with pytest.raises(SystemExit) as ended, messages_not_tracebacks():
        make_config(given)
    assert str(ended.value).startswith(f"{printable(given)} cannot be read (")
    assert str(ended.value).endswith(f"needs quotes inside the shell's quotes, as in {said}")


@pytest.mark.parametrize("name", ["sample", "evaluate", "prepare", "encoder_cost", "consistency", "cache_tool",
                                  "import_lafite"])  # fmt: skip
def test_every_command_prints_its_help(name, monkeypatch, capsys):
    module = import_module(f"clipgan.{name}.__main__" if name == "import_lafite" else f"clipgan.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with suppress(SystemExit):  # argparse's
        module.main()
    assert f"python -m clipgan.{name} " in capsys.readouterr().out
