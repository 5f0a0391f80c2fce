"""The small CLIP of a sweep's models is stored once."""

from pathlib import Path

from clipgan.tracking.shared_weights import share_weights


def store(root: Path, model: str, content: bytes) -> Path:
    file = root / model / "artifacts" / "data" / "generator" / "clip.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_equal_weights_become_one_file_and_others_stay(tmp_path):
    one, two, three = (store(tmp_path, f"m-{n}", content) for n, content in enumerate((b"same", b"same", b"else")))
    share_weights(f"{tmp_path}/m-1/artifacts")
    share_weights(f"file://{tmp_path}/m-2/artifacts")
    assert two.samefile(one)
    assert not three.samefile(one)
    assert [file.read_bytes() for file in (one, two, three)] == [b"same", b"same", b"else"]
    one.unlink()  # as when MLflow deletes a model
    assert two.read_bytes() == b"same"
    assert sorted(path.name for path in two.parent.iterdir()) == ["clip.safetensors"]


def test_a_server_and_a_missing_folder_are_left_alone(tmp_path):
    share_weights("mlflow-artifacts:/1/models/m-1/artifacts")
    share_weights(str(tmp_path / "none" / "artifacts"))
