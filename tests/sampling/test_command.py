"""`python -m clipgan.sample`: the files that it writes, and one message for a mistake."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.inputs.data.images import square
from clipgan.sample import main, sample
from clipgan.sampling.options import parse
from clipgan.sampling.rerank import clip_scores
from tests import warm

PROMPTS = "prompts=a red circle;a blue star"
CPU = torch.device("cpu")


def pixels(path):
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_a_grid_single_pictures_and_strips(run, sampler, tmp_path):
    settings = ["seeds=0,7", "truncation=0.7", "interpolate=latent,text", "steps=3"]
    files = sample(parse([f"ckpt={run.checkpoint}", PROMPTS, f"out={tmp_path / 'a'}", *settings]))
    assert [path.name for path in files] == [
        "grid.png",
        "a-red-circle-seed-0.png", "a-red-circle-seed-7.png", "a-blue-star-seed-0.png", "a-blue-star-seed-7.png",
        "latent-a-red-circle.png", "latent-a-blue-star.png", "text-a-red-circle-to-a-blue-star.png",
    ]  # fmt: skip
    assert set(files) == set((tmp_path / "a").iterdir())
    assert torch.equal(pixels(files[4]), sampler.image(sampler.condition("a blue star"), 7, 0.7))
    notes = Image.open(files[4]).text
    assert notes == {"prompt": "a blue star", "seed": "7", "truncation": "0.7", "model": notes["model"]}
    grid = pixels(files[0])
    row = 18 + 128 + 18  # the prompt, a picture of 16 pixels eight times as large, its seed
    assert grid.shape == (3, 2 * row, 2 * 128)
    cell = grid[:, row + 18 : row + 18 + 128, 128:]
    assert torch.equal(cell[:, ::8, ::8], pixels(files[4]))  # row 2, column 2
    assert grid[:, :18].float().std() > 0  # a caption
    assert grid[:, row - 18 : row].float().std() > 0  # a label
    assert pixels(files[5]).shape == (3, 18 + 128, 3 * 128)
    assert pixels(files[7]).shape == (3, 2 * (18 + 128), 3 * 128)


def test_replaced_files_are_told(run, tmp_path, monkeypatch, capsys):
    arguments = [f"ckpt={run.checkpoint}", "prompts=a red circle", "seeds=1", f"out={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["sample", *arguments])
    main()
    assert capsys.readouterr().out.endswith("grid.png: the grid; 1 more files beside it\n")
    main()
    assert capsys.readouterr().out.endswith("beside it; 2 of them replace earlier files\n")


def test_a_picture_is_a_prompt(run, sampler, tmp_path):
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(tmp_path / "like.png")
    files = sample(parse([f"ckpt={run.checkpoint}", f"image={tmp_path / 'like.png'}", "seeds=3", f"out={tmp_path}/a"]))
    assert [path.name for path in files] == ["grid.png", "like-like-png-seed-3.png"]
    image = torch.from_numpy(square(Image.open(tmp_path / "like.png"), 16).copy()).permute(2, 0, 1)[None]
    feature = sampler.clip.encode_image(image.float() / 127.5 - 1)
    assert torch.equal(pixels(files[1]), sampler.image(feature, 3))
    noted = Image.open(files[1]).text  # no prompt, which an evaluation would take for the picture's caption
    assert (noted["image"], noted["seed"], "prompt" in noted) == ("like like.png", "3", False)
    with pytest.raises(UserError, match=r"prompts=like like.png is not allowed beside image="):
        parse([f"ckpt={run.checkpoint}", f"image={tmp_path / 'like.png'}", "prompts=like like.png"])
    both = [f"ckpt={run.checkpoint}", f"image={tmp_path / 'like.png'}", "prompts=a red circle", "seeds=3"]
    assert len(sample(parse([*both, f"out={tmp_path}/b"]))) == 3
    with pytest.raises(UserError, match="is not allowed with rerank or interpolate"):
        parse([*both, "rerank=1"])
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"image=.*bad.png cannot be used: bad.png: unreadable image"):
        sample(parse([f"ckpt={run.checkpoint}", f"image={tmp_path / 'bad.png'}"]))
    with pytest.raises(UserError, match=r"image=.*gone.png does not exist; give an image file"):
        parse([f"ckpt={run.checkpoint}", f"image={tmp_path / 'gone.png'}"])


def test_a_second_command_keeps_the_pictures_of_the_first(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = []
    for prompt in ("a red circle", "a blue star"):
        files = sample(parse([f"ckpt={run.checkpoint}", f"prompts={prompt}", "seeds=0"]))
        places.append((files[0].parent, pixels(files[0])))
    (first, before), (second, _) = places
    assert second == first.with_name(f"{first.name}-2")
    assert torch.equal(pixels(first / "grid.png"), before)


def test_the_same_by_the_runs_id(run, tmp_path):
    by_id = sample(
        parse([f"run={run.id}", f"mlflow.tracking_uri={run.tracking_uri}", PROMPTS, f"out={tmp_path / 'a'}"])
    )
    by_file = sample(parse([f"ckpt={run.checkpoint}", PROMPTS, f"out={tmp_path / 'b'}"]))
    assert [path.name for path in by_id] == [path.name for path in by_file]
    assert len(by_id) == 17
    assert all(torch.equal(pixels(one), pixels(other)) for one, other in zip(by_id, by_file, strict=True))


def test_reranking_keeps_the_best(run, sampler, tmp_path):
    settings = ["seeds=0-11", "rerank=2", "interpolate=latent", "prompts=a red circle", f"out={tmp_path}"]
    files = sample(parse([f"ckpt={run.checkpoint}", *settings]))
    condition = sampler.condition("a red circle")
    images = torch.stack([sampler.image(condition, seed) for seed in range(12)])
    order = clip_scores(sampler.clip, images, "a red circle", CPU).argsort(descending=True)
    assert [path.name for path in files[1:3]] == [f"a-red-circle-seed-{seed}.png" for seed in order[:2]]
    assert torch.equal(pixels(files[3])[:, 18::8, :128:8], images[order[0]])  # the strip begins with the best


def test_a_run_of_mlflow_that_is_not_there(run, tmp_path):
    def refused(run_id, uri):
        with pytest.raises(UserError) as caught:
            sample(parse([f"run={run_id}", f"mlflow.tracking_uri={uri}", PROMPTS, f"out={tmp_path}"]))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "did not return this run" in refused("0000", run.tracking_uri)
    assert "run=0000: there is no MLflow at sqlite:///" in refused("0000", f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ckpt=nowhere.pt", PROMPTS], "ckpt=nowhere.pt does not exist"),
        (["run=a", PROMPTS, "seeds=0-"], "seeds=0- is not allowed"),
    ],
)
def test_a_mistake_ends_it_with_one_message(tmp_path, arguments, words):
    command = [sys.executable, "-m", "clipgan.sample", *arguments]
    result = warm.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
