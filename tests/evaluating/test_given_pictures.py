"""Pictures in a folder or an archive: read as they are, and refused with one message."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.evaluating.given_pictures import find_pictures


def picture(path, mode="RGB", size=(16, 16), seed=0):
    random = np.random.default_rng(seed)
    Image.fromarray(random.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).convert(mode).save(path)
    return path


def refused(path, resolution=None):
    with pytest.raises(UserError) as caught:
        find_pictures(path, resolution)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_and_its_archive_have_the_same_bytes(tmp_path):
    names = [f"{number}.png" for number in (2, 0, 1)]
    (tmp_path / "a").mkdir()
    for seed, name in enumerate(names):
        picture(tmp_path / "a" / name, seed=seed)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.write(tmp_path / "a" / name, name)
    folder, packed = find_pictures(tmp_path / "a", None), find_pictures(tmp_path / "a.zip", 16)
    assert [each.name for each in folder.pictures] == [each.name for each in packed.pictures] == sorted(names)
    rows = [0, 1, 2]
    read = folder.read(rows, range(1))
    assert torch.equal(read, packed.read(rows, range(1)))
    first = torch.from_numpy(np.array(Image.open(tmp_path / "a" / "0.png"))).permute(2, 0, 1)
    assert torch.equal(read[0], first)
    assert torch.equal(read[3], first)  # after the last one, the first follows


def test_what_is_no_set_of_pictures(tmp_path):
    assert "has no image" in refused(tmp_path)
    (tmp_path / "note.txt").write_text("a bird")
    assert "neither a folder nor a ZIP archive" in refused(tmp_path / "note.txt")
    picture(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    assert "c.png cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(("mode", "words"), [("L", "grey (mode L)"), ("RGBA", "an image with alpha (mode RGBA)")])
def test_grey_and_alpha_are_refused(tmp_path, mode, words):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", mode)
    assert f"b.png is {words}" in refused(tmp_path)


def test_another_size_is_refused(tmp_path):
    picture(tmp_path / "a.png")
    assert "a.png has 16 x 16 pixels, and resolution=32" in refused(tmp_path, 32)
    picture(tmp_path / "b.png", size=(16, 8))
    assert "b.png has 16 x 8 pixels, and metrics need square pictures" in refused(tmp_path)
    picture(tmp_path / "b.png", size=(8, 8))
    assert "b.png has 8 x 8 pixels, and a.png has 16 x 16" in refused(tmp_path)
    picture(tmp_path / "a.png", size=(48, 48))
    (tmp_path / "b.png").unlink()
    assert "a.png has 48 x 48 pixels; the side must be a power of two from 8 to 1024" in refused(tmp_path)


def test_too_few_pictures_are_named_with_their_number(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"has 1 image, and 30000 are needed .*give more, or metrics.n_images=1,"):
        find_pictures(tmp_path, None).chosen(30000)
