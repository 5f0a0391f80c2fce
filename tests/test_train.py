"""`train.py` as a user starts it: a process of its own, the shipped configuration, real stores."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import optuna
import pytest
import torch
from hydra.types import RunMode
from mlflow import MlflowClient
from omegaconf import OmegaConf
from PIL import Image

from clipgan import main
from clipgan.base.errors import UserError
from clipgan.base.installed import train_command
from clipgan.base.run_lock import exclusive
from clipgan.config.arguments import flags_and_overrides
from clipgan.config.command_line import messages_not_tracebacks
from clipgan.config.hiding import hide_passwords
from sweeps.base.errors import FAILED
from tests import warm
from tests.helpers import ROOT
from tests.tiny import tiny

TRAIN = [sys.executable, str(ROOT / "train.py")]


@pytest.fixture
def run(tmp_path):
    """Runs a command in an empty folder; returns (exit status, stdout, stderr)."""

    def run(*arguments, command=TRAIN, start=warm.run):
        result = start([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        return result.returncode, result.stdout, result.stderr

    return run


def test_a_command_leaves_the_environment_as_it_was():
    with pytest.raises(SystemExit, match="h=-1 is not allowed"), messages_not_tracebacks():
        raise UserError("h=-1 is not allowed")
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_of_too_many_open_files_no_other_folder_is_advised():
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/run/latest.pt")
    with pytest.raises(SystemExit, match=r"^Too many open files: a higher limit"), messages_not_tracebacks():
        raise error


def test_ctrl_c_before_a_training_ends_it_with_one_line_and_hides_no_later_error():
    code = """
import signal, sys
from clipgan.config.command_line import messages_not_tracebacks
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with messages_not_tracebacks():
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    if sys.argv[1:]:
        raise ValueError("of the program around the command")
    raise
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "ended by Ctrl-C\n")
    later = subprocess.run([sys.executable, "-c", code, "x"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert later.stderr.endswith("ValueError: of the program around the command\n")


def test_help_is_a_manual(run):
    status, out, _ = run("--help", start=subprocess.run)
    assert status == 0
    for words in ("train.py -m loss=symmetric h=0.1,0.5,2", "== Groups", "ViT-L14@336", "S.CLIP", "retry_failed"):
        assert words in out


def test_help_imports_nothing_heavy():
    code = (
        "import sys, runpy\nsys.argv = ['train.py', '--help']\n"
        f"try:\n    runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'mlflow', 'optuna', 'open_clip', 'torchvision', 'torch_fidelity'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_cfg_job_shows_the_configuration(run):
    status, out, _ = run("--cfg", "job", "loss=asymmetric", "clip=ViT-L14@336")
    assert status == 0
    assert "name: asymmetric" in out
    assert "model: ViT-L-14-336-quickgelu" in out


HYDRAS = ("Config search path", "Error executing job", "Warning: ", "full_key")  # no user needs these words


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["foo=1"], ["there is no key foo.", "train.py --help lists the keys"]),
        (["+foo=1"], ["there is no key foo."]),
        (["kmig=1"], ["there is no key kmig: did you mean kimg?"]),
        (["mlflow.exp=x"], ["there is no key mlflow.exp: did you mean mlflow.experiment?"]),
        (["-m", "h=1", "hydra.sweeper.nworkers=3"], ["no key hydra.sweeper.nworkers: did you mean hydra.sweeper.work"]),
        (["run_dir=x"], ["there is no key run_dir: did you mean hydra.run.dir?"]),
        (["dry_run=x"], ["there is no key dry_run: did you mean hydra.sweeper.dry_run?"]),
        (["mlflow.foo=x"], ["there is no key mlflow.foo. Keys of mlflow: "]),
        (["loss=symetric"], ["loss=symetric is not an option: did you mean symmetric? Options of loss: asymmetric,"]),
        (["experiment=[qick]"], ["experiment=qick is not an option: did you mean quick? Options of experiment: asymm"]),
        (
            ["-m", "grid=[h,C_itt]"],
            ["grid=C_itt is not an option: did you mean C_it? Options of grid: C_ii, C_it,"],
        ),
        (["experiment.kimg=1"], ["there is no key experiment.kimg: experiment is a group, which experiment=NAME choo"]),
        (["clip@judge=tiny"], ["the chosen options have no clip@judge to replace: +clip@judge=NAME adds it"]),
        (["hydra.sweeper.sampler={_target_:x,y:1}"], ["there is no key hydra.sweeper.sampler.y"]),
        (["kimg=0.5"], ["kimg=0.5 is not allowed: kimg must be a whole number", "experiment=quick"]),
        (["-m", "h=1,2", "kimg=0.5"], ["trials of 0.5 kimg are not allowed", "a whole number of kimg"]),
        (["h=-1"], ["h=-1.0", ">= 0"]),
        (["h=abc"], ["h=abc is not allowed: h must be a number"]),
        (["resolution=33"], ["resolution=33", "power of two"]),
        (["data=folder", "data.path=/nowhere"], ["data.path=/nowhere"]),
        (["metrics=fid5k", "metrics.inception_weights=/nowhere.pth"], ["/nowhere.pth", "metrics.inception_weights"]),
        (["clip=ViT-B32", "clip.checkpoint=/nowhere.pt"], ["clip.checkpoint=/nowhere.pt"]),
        (["resume=/nowhere.pt"], ["resume=/nowhere.pt", "auto"]),
        (["hydra.run.dir=/proc/nowhere"], ["/proc/nowhere", "cannot be written", "hydra.run.dir"]),
        (["cache_dir=/proc/nowhere"], ["cache_dir=/proc/nowhere", "cannot be written"]),
        (["device=tpu9"], ["device=tpu9"]),
        (["device=meta"], ["device=meta"]),
        (["-m", "hydra.sweeper.storage=postgresql://u@host:no/db"], ["host:no", "is not a storage URL"]),
        (["grid=h"], ["train.py -m grid="]),
        (["-m", "h=1,-1"], ["h=-1: h=-1.0 is not allowed", "1 of 2 points"]),
        (["-m", "model=tiny,base", "resolution=48"], ["model=base: resolution=48 is not allowed", "2 of 2 points"]),
        (["-m", "h=0.3,abc"], ["h=abc: h=abc is not allowed: h must be a number", "1 of 2 points"]),
        (["-m", "task=simclr", "batch=16,32", "h=1,2"], ["h is not read by task=simclr", "4 of 4 points"]),
        (["-m", "h=interval(-1,1)", "hydra.sweeper.n_trials=3"], ["h=-1: h=-1.0 is not allowed", "1 of 2 points"]),
        (["grid=[h,C_it]"], ["grid=[h,C_it] needs a sweep: ", "train.py -m 'grid=[h,C_it]'"]),
        (["loss=lafite", "heterologous=source"], ["heterologous=source", "lafite"]),
        (["clip=ViT-B/32"], ["clip=ViT-B/32 is not an option: did you mean ViT-B32? Options of clip: ViT-B16"]),
        (["pairs=3"], ["pairs=3 is not allowed: the options of a group are names; a name that looks like a number"]),
        (["hydra/launcher=3"], ["hydra/launcher=3 is not allowed: the options of a group are names"]),
        (["-m", "loss=1,symmetric", "h=1"], ["loss=1,symmetric is not allowed: the options of a group are names"]),
        (["data=null"], ["data=null is not allowed: the options of a group are names"]),
        (["-m", "loss=[1],symmetric"], ["loss=[1],symmetric is not allowed: the options of a group are names"]),
        (["pairs=[[plain]]"], ["pairs=[[plain]] is not allowed: the options of a group are names"]),
        (["hydra.sweeper=optuna"], ["hydra.sweeper=optuna is not allowed: hydra.sweeper is a section; hydra/sweeper="]),
        (["-m", "h=1,2", "hydra.launcher=null"], ["hydra.launcher=null is not allowed: hydra.launcher is a section"]),
        (["hydra.job.chdir=maybe"], ["hydra.job.chdir=maybe is not allowed: hydra.job.chdir must be true or false"]),
        (["hydra.run=3"], ["hydra.run=3 is not allowed: hydra.run is a section"]),
        (["+=3"], ["+=3 has no key: write KEY=VALUE"]),
        (["=3"], ["=3 has no key: write KEY=VALUE"]),
        (["-m", "h=1,2", "=3"], ["=3 has no key: write KEY=VALUE"]),
        (["data=folder", "data.path="], ["data.path= is empty: give data.path=VALUE"]),
        (["hydra.run.dir=''"], ["hydra.run.dir='' is empty: give hydra.run.dir=VALUE"]),
        (["-m", "h=1,2", "hydra.sweeper.storage="], ["hydra.sweeper.storage= is empty: give"]),
        (["~h"], ["~h is not allowed: no setting can be removed; give h=VALUE, or h=null where it may be off"]),
        (["-m", "h=1,2", "~mlflow"], ["~mlflow is not allowed: no setting can be removed; give mlflow.NAME=VALUE, or"]),
        (["~model=tiny"], ["~model=tiny is not allowed: no setting can be removed; model=NAME chooses another"]),
        (["-m", "h=1,,2"], ["h=1,,2 cannot be read: a value is missing beside a comma; write them as in h=A,B"]),
        (["C_it=[0.5, 1]"], ["C_it=[0.5, 1]", "must be a number; a sweep tries several: -m C_it=0.5,1"]),
        (["h=1,"], ["h=1, cannot be read: a value is missing beside a comma"]),
        (["~augment", "augment=ada"], ["can be removed; augment=NAME chooses another option"]),
        (["~clip@metrics.judge"], ["can be removed; clip@metrics.judge=NAME chooses another option"]),
        (["log+=tensorboard"], ["log+=tensorboard cannot be read: log+ is no key; write KEY=VALUE, and a list as a"]),
        (["h=${nokey}"], ["h=${nokey} is not allowed: Interpolation key 'nokey' not found"]),
        (["h=${h}"], ["h=${h} is not allowed: Recursive interpolation detected"]),
        (["-m", "h=1,2", "C_it=${nokey}"], ["h=2: C_it=${nokey} is not allowed: Interpolation key 'nokey' not found"]),
        (["hydra.run.dir=a/${nokey}"], ["hydra.run.dir: Interpolation key 'nokey' not found"]),
        (["gamma=10"], ["there is no key gamma: LAFITE's gamma is model.r1_gamma here"]),
        (
            ["--gamma=10"],
            ["--gamma=10 is not allowed: settings are KEY=VALUE, without dashes; there is no key gamma: LA"],
        ),
        (["--itd", "5"], ["--itd is not allowed: ", "LAFITE's itd is S.D * C_it here"]),
        (["--kimg=3"], ["--kimg=3 is not allowed: settings are KEY=VALUE, without dashes; write kimg=3"]),
        (["--hydra.sweeper.workers=3"], ["without dashes; write hydra.sweeper.workers=3"]),
        (["--h=3"], ["--h=3 is not allowed: ", "write h=3"]),
        (
            ["-m", "h=1,2", "--cfg", "job"],
            ["Only one of --run, --multirun, --cfg", "dry_run=true shows a sweep's points"],
        ),
        (["--resolve"], ["The --resolve flag can only be used in conjunction with --cfg"]),
        (
            ["-cn", "loss/symmetric"],
            ["clip is missing: a file that --config-name chooses gets it from `config` in its"],
        ),
        (["h=1", "hydra/sweeper=basic"], ["sampler and pruner are groups of hydra/sweeper=study: leave out"]),
        (["init=/"], ["init=/ is a folder; give a checkpoint file"]),
        (["resume=/dev/null"], ["resume=/dev/null is no file; give a checkpoint file"]),
        (["-m", "h=1,2", "hydra.sweep.dir=/proc/nowhere"], ["hydra.sweep.dir=/proc/nowhere", "cannot be written"]),
    ],
)
def test_a_mistake_is_one_message(run, tmp_path, overrides, words):
    status, _, err = run(*overrides)
    assert status == 1
    assert "Traceback" not in err
    assert not (tmp_path / "sweeps.db").exists() or "hydra.sweep.dir=/proc/nowhere" in overrides
    assert not [each for each in HYDRAS if each in err]
    assert not {"runs", "outputs"} & {path.name for path in tmp_path.iterdir()}
    for word in words:
        assert word in err


def test_paths_begin_where_the_command_was_given_also_if_hydra_changes_the_directory(run, tmp_path):
    (tmp_path / "mine.pt").write_text("no checkpoint")
    status, _, err = run("init=mine.pt", "hydra.job.chdir=true")
    assert status == 1
    assert err.startswith("checkpoint mine.pt cannot be loaded: it holds more than tensors")


def test_a_second_run_in_a_directory_is_refused_and_changes_nothing(run, tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with exclusive(run_dir):
        status, _, err = run("hydra.run.dir=run", "h=2")
    assert status == 1
    assert err.startswith(f"{run_dir} is in use by process {os.getpid()} on {socket.gethostname()} (since 2")
    assert [path.name for path in run_dir.iterdir()] == [".lock"]


def test_runs_that_start_together_have_directories_of_their_own(tmp_path):
    command = [*TRAIN, "h=-1", "hydra.output_subdir=null"]  # without, a refused command removes its folder
    started = [warm.Popen(command, cwd=tmp_path, stdout=warm.DEVNULL, stderr=warm.DEVNULL) for _ in range(4)]
    assert [process.wait(timeout=300) for process in started] == [1] * 4
    assert len(list((tmp_path / "runs" / "single").iterdir())) == 4


def test_a_refused_command_removes_only_a_folder_that_holds_nothing(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    status, _, _ = run("h=-1", "hydra.run.dir=mine")
    assert status == 1
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("given", "flags", "overrides"),
    [
        ("h=1 --config-dir my loss=mine", "--config-dir my", "h=1 loss=mine"),
        ("-m h=1,2 --cfg job ~S", "-m --cfg job", "h=1,2 ~S"),
        ("h=1 --info plugins loss=lafite", "--info plugins", "h=1 loss=lafite"),
        ("h=1 --info loss=lafite --resolve", "--info --resolve", "h=1 loss=lafite"),
        ("--config-dir=my h=1", "--config-dir=my", "h=1"),
        ("--config-dir a/v=3 h=1", "--config-dir a/v=3", "h=1"),
        ("-sc query=bash", "-sc", "query=bash"),
    ],
)
def test_flags_may_stand_between_overrides(given, flags, overrides):
    assert flags_and_overrides(given.split()) == (flags.split(), overrides.split())


def test_a_group_of_the_users_own_is_named(run, tmp_path):
    group = tmp_path / "my" / "data" / "mine"
    group.mkdir(parents=True)
    (group / "foo.yaml").write_text("a: 1\n")
    _, _, err = run("--config-dir", "my", "+data/mine=zz")
    assert err.startswith("data/mine=zz is not an option. Options of data/mine: foo")


@pytest.mark.slow
def test_no_compiler_is_one_message(run, cache_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    status, _, err = run(*tiny(cache_dir), "compile=default")
    assert (status, "Traceback" in err) == (1, False)
    assert "compile=default needs a C++ compiler on a CPU, and g++ does not run here" in err


@pytest.mark.slow
def test_a_clip_of_another_architecture_and_a_batch_too_large(run, cache_dir, tmp_path):
    torch.save({"visual.conv1.weight": torch.zeros(3)}, tmp_path / "other.pt")
    status, _, err = run(*tiny(cache_dir, "clip=ViT-B32", "clip.checkpoint=other.pt")[:3],
                         f"cache_dir={cache_dir}", "clip=ViT-B32", "clip.checkpoint=other.pt")  # fmt: skip
    assert (status, "Traceback" in err) == (1, False)
    assert "other.pt" in err
    assert "ViT-B-32-quickgelu" in err
    status, _, err = run(*tiny(cache_dir, "batch=128"))
    assert (status, "Traceback" in err) == (1, False)
    assert "batch=128 is larger than the data set" in err


@pytest.mark.slow
def test_no_hub_says_which_file_to_give(run, cache_dir, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(cache_dir / "hub"))
    status, _, err = run("data.n_train=96", "data.n_heldout=32", f"cache_dir={cache_dir}", "clip=ViT-B16",
                         start=subprocess.run)  # fmt: skip
    assert (status, "Traceback" in err) == (1, False)
    assert "clip.checkpoint=FILE" in err


@pytest.mark.slow
def test_a_sweep_runs_each_point_once_and_extends(run, cache_dir, tmp_path, mlflow_store):
    """A grid, the same command again, one more point; a bad point fails alone."""
    mlflow_store(tmp_path / "mlflow.db")
    command = ["-m", *tiny(cache_dir, "kimg=1"), "loss=asymmetric", "hydra.sweeper.workers=1"]

    def trials():
        [summary] = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/sweeps.db")
        return optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{tmp_path}/sweeps.db").trials

    def h_values(state):
        return sorted(trial.params["h"] for trial in trials() if trial.state.name == state)

    status, out, err = run(*command, "h=0.1,2")
    assert status == 0, err
    assert h_values("COMPLETE") == [0.1, 2.0]
    one, other = (trial.user_attrs["sources"] for trial in trials())
    assert one == other
    assert {"settings", "data.content", "clip.key", "judge.key"} <= one.keys()
    [folder] = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir() if path.is_dir()} - {"workers"} == {"0", "1"}
    assert "sec_per_kimg" in out
    assert "fjd32_clip_tiny64_sd" in out  # what a report's "within noise" knows of the figure itself
    status, out, _ = run(*command, "h=0.1,2")
    assert status == 0
    assert "0 trials run" in out
    status, _, err = run(*command, "h=0.1,2,1,-1")
    assert (status, h_values("COMPLETE")) == (1, [0.1, 2.0])
    assert "h=-1.0 is not allowed" in err
    status, out, err = run(*command, "h=0.1,2,1,1e39")
    assert status == FAILED  # a point failed, and the command says so
    assert h_values("COMPLETE") == [0.1, 1.0, 2.0]
    assert h_values("FAIL") == [1e39]  # once: another attempt would fail alike
    assert re.search(r"divergence: \S+ is not finite in step 1; ", out)
    assert "Traceback" not in err

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("clipgan").experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert sorted(run.data.params["h"] for run in children) == ["0.1", "1.0", "1e+39", "2.0"]
    assert all("fjd32_clip_tiny64_best" in run.data.metrics for run in children)


@pytest.mark.endurance
def test_a_pruner_ends_a_training_at_a_snapshot_and_without_one_it_goes_on(run, cache_dir, tmp_path):
    command = ["-m", *tiny(cache_dir, "kimg=2"), "h=0.5"]
    status, out, err = run(*command, "pruner=threshold", "hydra.sweeper.pruner.upper=0")
    assert status == 0, err  # to be pruned is no failure
    assert "PRUNED" in out, err
    assert "Traceback" not in err
    [folder] = (tmp_path / "runs").glob("*/0")
    assert (folder / "checkpoint-000001.pt").exists()
    assert not (folder / "checkpoint-000002.pt").exists()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    [child] = client.search_runs(["1"], "tags.pruned = 'true'")
    assert child.info.status == "KILLED"
    status, out, err = run(*command)
    assert status == 0, err
    assert "resumed at 1 kimg" in out
    assert (folder / "checkpoint-000002.pt").exists()


@pytest.mark.slow
def test_a_folder_of_pictures_end_to_end(run, cache_dir, tmp_path):
    random = np.random.default_rng(0)
    for index in range(80):
        pixels = random.integers(256, size=(16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        (tmp_path / f"{index}.txt").write_text(f"noise number {index}\n")
    (tmp_path / "3.png").write_bytes(b"broken")
    every = tiny(cache_dir, "kimg=1", "batch=64", "mlflow.tracking_uri=null")
    settings = [text for text in every if not text.startswith("data.")]
    status, out, err = run("data=folder", f"data.path={tmp_path}", *settings)
    assert status == 0, err
    assert "1 unreadable image: 3.png (no format that Pillow reads)" in out
    [grid] = (tmp_path / "runs" / "single").glob("*/samples-000001.png")
    assert Image.open(grid).size == (3 * 64, 2 * 82)
    module = [sys.executable, "-m", "clipgan.prepare"]
    status, out, err = run("data=folder", f"data.path={tmp_path}", *settings, command=module)
    assert status == 0, err
    assert "71 training and 8 held-out images, ready" in out


@pytest.mark.parametrize(
    ("given", "there", "printed"),
    [
        (["resume=none", "h=1"], True, ["h=1", "resume=auto"]),
        (["++resume=/x/checkpoint-000001.pt"], True, ["resume=auto"]),
        (["C_ii=${h}"], True, ["'C_ii=${h}'", "resume=auto"]),  # no value takes the place of a reference
        (["resume=/x/checkpoint-000001.pt"], False, ["resume=/x/checkpoint-000001.pt"]),  # nothing descends from it
    ],
)
def test_the_command_after_a_signal_goes_on_and_does_not_begin_again(tmp_path, given, there, printed):
    if there:
        (tmp_path / "latest.pt").touch()
    overrides = {"task": given, "hydra": ["hydra.mode=RUN"]}
    run = OmegaConf.create({"mode": RunMode.RUN, "overrides": overrides, "runtime": {"output_dir": str(tmp_path)}})
    told = main._resume_command(run)
    assert told.split() == [*train_command(), *printed, f"hydra.run.dir={tmp_path}"]
    assert "resume=auto" in main._command(run).resumed()  # what its end and its page say


@pytest.mark.parametrize("uri", ["http://u:secret@host:5000", "http://host:5000"])
def test_the_command_after_a_signal_names_the_environment_where_a_password_is(monkeypatch, uri):
    monkeypatch.setattr("os.environ", dict(os.environ))
    arguments = ["train.py", f"mlflow.tracking_uri={uri}"]
    hide_passwords(arguments)
    hidden = "secret" in uri
    assert (len(arguments) == 1) == hidden
    told = main._environment_hint()
    assert ("MLFLOW_TRACKING_URI=http://u:***@host:5000" in told) == hidden
    assert "secret" not in told
