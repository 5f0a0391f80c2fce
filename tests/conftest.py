"""Shared fixtures."""

import os
import shlex
import shutil
import signal
import sys
from collections import Counter

import pytest

from tests import warm

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # tests reach no network
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight more processes of a server
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core already
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # in a shell's background, under nohup: tests send it to themselves
        signal.signal(number, handler)


ENDURANCE = 3600  # seconds that one test may take; the others: pyproject.toml


def pytest_collection_modifyitems(items):
    """Give the tests that take minutes more time, unless they say how much. In parallel, begin with the long files."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])
    for item in items:
        if item.get_closest_marker("endurance") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(ENDURANCE))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """An encoder that is hardly trained has its accuracy measured on a few scenes: on 400, that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        if "cache_dir" in item.fixturenames and not item.get_closest_marker("endurance"):
            from clipgan.inputs.encoders.tiny import clip_report

            patch.setattr(clip_report, "CASES", 10)
        yield


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """One cache for all tests that train, in all of pytest's processes: encoders are made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def mlflow_store(cache_dir, tmp_path_factory):
    """Makes a new MLflow database as a copy: MLflow takes a second to make one."""
    import mlflow

    made = cache_dir.with_name("mlflow.db")  # for all of pytest's processes
    if not made.exists():
        new = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        mlflow.MlflowClient(f"sqlite:///{new}").search_experiments()
        new.replace(made)

    def copy(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{shutil.copy(made, path)}"

    return copy


@pytest.fixture(scope="session")
def trained(cache_dir, mlflow_store, tmp_path_factory):
    """A short training, logged to MLflow."""
    from tests.trained import train_once

    folder = tmp_path_factory.mktemp("trained")
    return train_once(cache_dir, folder, mlflow_store(folder / "mlflow.db"))


def pytest_configure(config):
    if warm.SOCKET not in os.environ:  # neither a process of pytest-xdist nor pytest inside a test
        config.warm_template = warm.Template()
        if config.getoption("tx", None):  # of pytest-xdist: its processes, too
            python = shlex.join([sys.executable, warm.__file__])
            config.option.tx = [f"popen//python={python}"] * len(config.option.tx)


def pytest_unconfigure(config):
    if hasattr(config, "warm_template"):
        config.warm_template.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Three processes for two cores: many tests wait for a process, or for time to pass."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.fixture
def make_training(cache_dir, tmp_path):
    """Makes a small training of the GAN from overrides, which has made no step."""
    import torch

    from clipgan.tasks.gan.training import Training
    from tests.helpers import make_config
    from tests.numeric import prepare_in_float64
    from tests.prepared import prepared_for
    from tests.tiny import tiny

    cpu = torch.device("cpu")

    def make(*overrides):
        config = make_config(*tiny(cache_dir, "batch=32", "mlflow.tracking_uri=null", *overrides))
        prepared = (prepare_in_float64 if torch.get_default_dtype() == torch.float64 else prepared_for)(config)
        return Training(config, tmp_path, prepared, cpu, None)

    return make


@pytest.fixture
def float64():
    """What would compute in float32 computes in float64, where two ways of computing agree to `numeric.CLOSE`."""
    from tests.numeric import in_float64

    with in_float64():
        yield
