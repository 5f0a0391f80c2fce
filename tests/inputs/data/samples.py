"""Tiny samples of public data sets, in exactly their layouts. Image k is of one colour, (10 k, 0, 0)."""

import csv
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
from PIL import Image


def picture(k, kind="PNG", size=(24, 20)):
    file = io.BytesIO()
    Image.new("RGB", size, (10 * k, 0, 0)).save(
        file, kind, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {})
    )
    return file.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def number(image):
    """The k of a packed image [3, R, R]."""
    return round(int(image[0, 0, 0]) / 10)


def coco(root, n_train=6, n_val=3, year="2014"):
    for split, first, count in (("train", 0, n_train), ("val", n_train, n_val)):
        ids = range(first, first + count)
        names = {k: f"COCO_{split}2014_{k:012d}.jpg" if year == "2014" else f"{k:012d}.jpg" for k in ids}
        annotations = {
            "info": {"year": int(year)},
            "images": [
                {"license": 1, "file_name": names[k], "coco_url": "http://x", "height": 20, "width": 24, "id": k}
                for k in ids
            ],
            "licenses": [],
            "annotations": [
                {"image_id": k, "id": 10 * k + n, "caption": f"A photo  of {k}, said in way {n}.\n"}
                for n in range(5)
                for k in ids
            ],
        }
        put(root / "annotations" / f"captions_{split}{year}.json", json.dumps(annotations))
        for k in ids:
            put(root / f"{split}{year}" / names[k], picture(k, "JPEG"))
    return root


def cub(root, per_class=3):
    classes = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    number = 0
    ids, split = "", ""
    for k, name in enumerate(classes):
        for n in range(per_class):
            stem = f"{name.split('.')[1]}_{n:04d}_{796000 + n}"
            put(root / "CUB_200_2011" / "images" / name / f"{stem}.jpg", picture(number, "JPEG"))
            captions = "".join(f"this bird is {number}, way {way}\n" for way in range(10))
            put(root / "text_c10" / name / f"{stem}.txt", captions)
            number += 1
            ids += f"{number} {name}/{stem}.jpg\n"
            split += f"{number} {int((n - k) % 10 != 0)}\n"  # one image of ten is held out
    put(root / "CUB_200_2011" / "images.txt", ids)
    put(root / "CUB_200_2011" / "train_test_split.txt", split)
    return root


def celeba_hq(root, count=12, n_test=3):
    for k in range(count):
        put(root / "images" / f"{k}.jpg", picture(k, "JPEG"))
        put(root / "text" / "celeba-caption" / f"{k}.txt", "".join(f"She is {k}, way {way}.\n" for way in range(10)))
    for split, ks in (("train", range(n_test, count)), ("test", range(n_test))):
        put(root / split / "filenames.pickle", pickle.dumps([str(k) for k in ks]))
    return root


def imagefolder_jsonl(root, count=5):
    """Splits as folders, each with its metadata.jsonl."""
    for split, first in (("train", 0), ("validation", count), ("test", 2 * count)):
        rows = []
        for k in range(first, first + count):
            put(root / split / f"{k:04d}.png", picture(k))
            rows.append(json.dumps({"file_name": f"{k:04d}.png", "text": f"number {k}"}))
        put(root / split / "metadata.jsonl", "\n".join(rows) + "\n")
    return root


def imagefolder_csv(root, count=6):
    """One metadata.csv; images in a folder below; two rows for the first image; another column."""
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["file_name", "source", "text"])
    for k in range(count):
        put(root / "pictures" / f"{k}.png", picture(k))
        table.writerow([f"pictures/{k}.png", "here", f"number {k}, a\nline more"])
    table.writerow(["pictures/0.png", "here", "number 0 again"])
    put(root / "metadata.csv", file.getvalue())
    return root


def add(tar, name, content, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content)
    tar.addfile(member, io.BytesIO(content))


def img2dataset(root, shards=2, per_shard=5):
    for shard in range(shards):
        root.mkdir(parents=True, exist_ok=True)
        with tarfile.open(root / f"{shard:05d}.tar", "w") as tar:
            for n in range(per_shard):
                k, key = shard * per_shard + n, f"{shard:05d}{n:04d}"
                about = {
                    "url": "http://x/1.jpg",
                    "caption": f"number {k}",
                    "key": key,
                    "status": "success",
                    "width": 24,
                }
                add(tar, f"{key}.jpg", picture(k, "JPEG"))
                if n != 1:  # a sample with its caption in the .json alone
                    add(tar, f"{key}.txt", f"number {k}".encode())
                add(tar, f"{key}.json", json.dumps(about).encode())
        put(root / f"{shard:05d}_stats.json", json.dumps({"count": per_shard}))
        put(root / f"{shard:05d}.parquet", b"PAR1")
    return root


def lafite_zip(path, count=6, width=8, texts=2, features=None, words=False, first=0, size=(16, 16)):
    """`features(k)` gives the image feature and the list of text features of image k."""

    def made_up(k):
        random = np.random.default_rng(k)
        return 5 * random.normal(size=width), list(random.normal(size=(texts, width)))

    image, text = [], []
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for k in range(first, first + count):
            name = f"00000/img{k:08d}.png"
            archive.writestr(name, picture(k, size=size))
            if words:
                archive.writestr(name[:-4] + ".txt", "".join(f"number {k}, way {n}\n" for n in range(texts)))
            image_row, text_rows = (features or made_up)(k)
            image.append([name, np.asarray(image_row).tolist()])
            text.append([name, [np.asarray(row).tolist() for row in text_rows]])
        table = {"labels": None, "clip_img_features": image, "clip_txt_features": text}
        archive.writestr("dataset.json", json.dumps(table))
    return path


def noise_folder(folder, count):
    """A new folder of images of noise, 16 x 16, each with a caption beside it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = random.integers(256, size=(16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"noise number {index}\n")
    return folder
