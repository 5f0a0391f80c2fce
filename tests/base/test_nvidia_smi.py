"""What `nvidia-smi` says, in the form in which it says it."""

from clipgan.base.nvidia_smi import QUERY, Gpu, parsed, read_gpus

ANSWER = """\
0, GPU-5d3f7c1e-0b7c-8f0a-4a54-1f2f6ad3d2c9, 81559, 4, 0, Default
1, GPU-96b1e8f1-7a0e-2f11-9df2-3c1a63b1f0aa, 81559, 21873, 37, Exclusive_Process
2, GPU-0c4a2a52-44f4-6a0d-8a33-0e9b9a0c6f11, 81559, 87, [N/A], Default
"""


def test_an_answer_is_parsed():
    first, second, divided = parsed(ANSWER)
    assert first == Gpu("0", "GPU-5d3f7c1e-0b7c-8f0a-4a54-1f2f6ad3d2c9", 81559, 4, 0, False)
    assert (second.used, second.busy, second.exclusive) == (21873, 37, True)
    assert (divided.used, divided.busy, divided.exclusive) == (87, None, False)
    assert parsed("No devices were found\n") == []


def test_the_answer_of_an_h200_is_parsed():
    """Recorded with driver 580."""
    uuid = "GPU-7b6072eb-3efc-be2b-f2cb-854b8cd6eeda"
    assert parsed(f"0, {uuid}, 143771, 0, 0, Default\n") == [Gpu("0", uuid, 143771, 0, 0, False)]


def test_the_driver_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_gpus() == []  # no such program
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f'#!/bin/sh\n[ "$1" = --query-gpu={QUERY} ] || exit 1\nprintf %s "{ANSWER}"\n')
    driver.chmod(0o755)
    assert read_gpus() == parsed(ANSWER)
    driver.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    assert read_gpus() == []
