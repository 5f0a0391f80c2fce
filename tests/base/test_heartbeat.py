"""Processes that stop answering while their connections stand."""

import os
import signal
import socket
import sys

import pytest

from clipgan.base.heartbeat import BEATS, LEFT, Silence
from tests import warm
from tests.helpers import ROOT

LIMIT = 20.0  # seconds; on a busy machine, one process starts that much earlier than the other
MEETING = f"""
import time
import torch
from clipgan.base.distributed import any_process, joined
from clipgan.base.heartbeat import watching_processes

with watching_processes(limit={LIMIT}), joined(torch.device("cpu")):
    while not any_process(False):
        print("they meet", flush=True)
        time.sleep(0.2)
"""


def test_silence_is_a_count_that_stands_still():
    silence = Silence(4)
    for look in range(1, BEATS + 4):  # process 1 answers until look 3, process 2 has left, process 3 is starting
        found = silence.after([look, min(look, 3), LEFT + 5, 0])
        assert found == ([1] if look == BEATS + 3 else [])
    assert silence.after([BEATS + 4, 4, LEFT + 5, 0]) == []


def test_a_slow_process_is_not_silent():
    silence = Silence(2)
    for look in range(10 * BEATS):
        assert silence.after([look, look // (BEATS - 1)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, pytest.param(1, marks=pytest.mark.endurance)])
def test_the_others_name_a_stopped_process_and_end(stopped):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    both = [
        warm.Popen(
            [sys.executable, "-c", MEETING],
            cwd=ROOT,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=warm.PIPE,
            stderr=warm.PIPE,
        )
        for rank in (0, 1)
    ]
    try:
        for process in both:
            assert process.stdout.readline() == "they meet\n"
        both[stopped].send_signal(signal.SIGSTOP)
        _, err = both[1 - stopped].communicate(timeout=100)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - stopped].returncode == 1
    where = "" if stopped else f", or its store at 127.0.0.1:{port},"  # process 0 keeps the counts
    assert err == (
        f"process {stopped} of 2{where} has not answered for {LIMIT:g} s: it was stopped, or its host is gone; the"
        " training ends\n"
    )
