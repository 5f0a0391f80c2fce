"""Packed pixels are those that a viewer shows: upright, transparent parts on white, 16 bits of grey in their range."""

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from clipgan.config import DataConfig
from clipgan.inputs.data.images import square
from clipgan.inputs.data.loading import load_data
from tests.inputs.data import samples
from tests.inputs.data.samples import put

UPRIGHT = {  # EXIF orientation -> from the stored rows to the upright ones
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}
KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}


def photo(kind, orientation, seed):
    """A stored image of odd width with an orientation, and its pixels as Pillow decodes them, not turned."""
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 12, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((37, 22), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    smooth.save(file, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    plain = Image.open(io.BytesIO(file.getvalue())) if kind == "JPEG" else smooth
    return file.getvalue(), np.asarray(plain.convert("RGB"))


def framed(pixels):
    """The centre square, resized: what is packed of upright pixels."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    cut = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return np.asarray(cut.resize((16, 16), Image.Resampling.LANCZOS))


def packed(name, path, tmp_path, **settings):
    """Caption -> pixels [16, 16, 3] of everything that is packed."""
    data = load_data(DataConfig(name=name, path=str(path), **settings), 16, tmp_path / "cache")
    return {
        captions[0]: image.transpose(1, 2, 0)
        for split in (data.train, data.heldout)
        for image, captions in zip(split.images, split.captions, strict=True)
    }


@pytest.fixture
def photos():
    """File name without suffix -> (suffix, bytes, expected packed pixels): every orientation in every format."""
    made = {}
    for kind, suffix in KINDS.items():
        for orientation, turn in UPRIGHT.items():
            content, pixels = photo(kind, orientation, orientation)
            made[f"{suffix}{orientation}"] = (suffix, content, framed(turn(pixels)))
    return made


def assert_equal(found, photos):
    assert found.keys() == photos.keys()
    for name, (_, _, expected) in photos.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


def test_photos_in_a_folder_are_upright(photos, tmp_path):
    for name, (suffix, content, _) in photos.items():
        put(tmp_path / "set" / f"{name}.{suffix}", content)
        put(tmp_path / "set" / f"{name}.txt", name)
    assert_equal(packed("folder", tmp_path / "set", tmp_path), photos)


def test_photos_in_archives_are_upright(photos, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, (suffix, content, _) in photos.items():
            samples.add(tar, f"{name}.{suffix}", content)
            samples.add(tar, f"{name}.txt", name.encode())
    assert_equal(packed("webdataset", tmp_path / "0.tar", tmp_path), photos)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("dataset.json", '{"clip_img_features": null, "clip_txt_features": null}')
        for name, (suffix, content, _) in photos.items():
            archive.writestr(f"{name}.{suffix}", content)
            archive.writestr(f"{name}.txt", name)
    assert_equal(packed("lafite_zip", tmp_path / "set.zip", tmp_path), photos)


def test_damaged_orientation_data_does_not_cost_the_image():
    content, pixels = photo("JPEG", 6, 0)
    place = content.index(b"Exif\0\0") + 6
    damaged = content[:place] + b"XX" + content[place + 2 :]
    with Image.open(io.BytesIO(damaged)) as image:
        np.testing.assert_array_equal(square(image, 16), framed(pixels))


def png(depth, kind, rows, transparent):
    """A PNG written by hand: colour type 0 is grey, 2 is RGB; `rows` are the packed bytes, `transparent` the tRNS."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    width = 8 * len(rows[0]) // depth // (1 if kind == 0 else 3)
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", transparent), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("depth", "kind", "row", "transparent", "expected"),
    [
        (16, 0, struct.pack(">4H", 0, 20000, 65535, 300), struct.pack(">H", 300), [0, 77, 255, 255]),
        (8, 0, bytes([0, 80, 255, 3]), struct.pack(">H", 80), [0, 255, 255, 3]),
        (4, 0, bytes([0x02, 0x5F]), struct.pack(">H", 2), [0, 255, 85, 255]),
        (2, 0, bytes([0b00011011]), struct.pack(">H", 1), [0, 255, 170, 255]),
        (1, 0, bytes([0b01010101]), struct.pack(">H", 0), [255] * 8),
        (8, 2, bytes([0, 0, 0, 9, 9, 9]), struct.pack(">3H", 9, 9, 9), [0, 255]),
        (16, 2, struct.pack(">6H", *[514] * 3, *[51400] * 3), struct.pack(">3H", *[514] * 3), [255, 200]),
    ],
)
def test_a_transparent_colour_of_any_depth_is_white(depth, kind, row, transparent, expected):
    side = len(expected)
    with Image.open(io.BytesIO(png(depth, kind, [row] * side, transparent))) as image:
        found = square(image, side)
    for channel in range(3):
        np.testing.assert_array_equal(found[:, :, channel], [expected] * side)


def test_grey_of_16_bits_in_a_pgm_keeps_its_range(tmp_path):
    content = b"P5 2 2 65535\n" + struct.pack(">4H", 0, 20000, 65535, 40000)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(square(image, 2)[:, :, 0], [[0, 77], [255, 155]])


def test_every_format_of_pillow_is_an_image_in_any_case_of_its_suffix(tmp_path):
    """One colour survives every compression within a few units."""
    kinds = {
        "GIF": "gif", "TIFF": "TIF", "JPEG": "JPE", "PPM": "ppm", "BMP": "bmp", "JPEG2000": "jp2", "TGA": "tga",
        "ICO": "ico",
    }  # fmt: skip
    for k, (kind, suffix) in enumerate(kinds.items(), start=1):
        image = Image.new("RGB", (32, 32), (20 * k, 60, 90))
        image.save(tmp_path / f"{k}.x", kind)
        (tmp_path / f"{k}.x").rename(tmp_path / f"{k}.{suffix}")
        put(tmp_path / f"{k}.txt", str(k))
    put(tmp_path / "9.jfif", samples.picture(18, "JPEG"))
    put(tmp_path / "10", samples.picture(20))  # without a suffix
    put(tmp_path / "11.jpg_large", samples.picture(22, "JPEG"))
    for k in (9, 10, 11):
        put(tmp_path / f"{k}.txt", str(k))
    found = packed("folder", tmp_path, tmp_path)
    assert found.keys() == {str(k) for k in range(1, 12)}
    for k in range(1, 12):
        expected = (20 * k, 60, 90) if k < 9 else (20 * k, 0, 0)
        np.testing.assert_allclose(found[str(k)].reshape(-1, 3).astype(int), [expected] * 256, atol=4)


def test_pillows_warnings_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # it warns of more, and refuses twice as many
    for k, name in enumerate(("large.png", "large without a suffix", "exif.jpg", "small.png")):
        file = io.BytesIO()
        exif = {"exif": b"Exif\0\0II*\0garbage"} if name == "exif.jpg" else {}
        size = (24, 20) if "large" in name else (10, 10)
        Image.new("RGB", size, (10 * k, 0, 0)).save(file, "JPEG" if exif else "PNG", **exif)
        put(tmp_path / "set" / "a" / name, file.getvalue())
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        data = load_data(DataConfig(name="imagefolder", path=str(tmp_path / "set")), 8, tmp_path / "cache")
        assert warnings.filters == filters
    assert len(data.train) + len(data.heldout) == 4
    assert shown == []
