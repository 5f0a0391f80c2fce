"""The best by CLIP: scores are cosines, and the judge is the one that was asked for."""

import copy

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.sampling.rerank import best, clip_scores, scoring_clip
from clipgan.sampling.source import from_checkpoint

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_scores_are_cosines_in_the_order_of_the_pictures(sampler):
    clip = copy.deepcopy(sampler.clip).double()
    images = torch.randint(256, (40, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scores = clip_scores(clip, images, "a red circle", CPU)
    text = clip.encode_text(["a red circle"])[0]
    alone = [float(clip.encode_image(image[None].float() / 127.5 - 1)[0] @ text) for image in images]
    torch.testing.assert_close(scores, torch.tensor(alone))


def test_best_first_and_of_equals_the_earlier():
    assert best(torch.tensor([0.1, 0.4, 0.4, 0.3]), 3) == [1, 2, 3]


@pytest.mark.exact
def test_the_judge_is_the_runs_guide_its_judge_or_another(run, sampler, tmp_path):
    source = from_checkpoint(run.checkpoint)
    assert scoring_clip(sampler, source, None, None, CPU) is sampler.clip
    judge = scoring_clip(sampler, source, "judge", None, CPU)
    assert judge.key == source.judge["key"] != sampler.clip.key
    assert scoring_clip(sampler, source, "tiny64", source.judge["file"], CPU).key == judge.key
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "mine.yaml").write_text("defaults: [tiny64]\n")
    place = f"hydra.searchpath=[file://{tmp_path}]"
    assert scoring_clip(sampler, source, "mine", source.judge["file"], CPU, [place]).key == judge.key
    with pytest.raises(UserError, match=r"rerank_clip=tiny .*rerank_clip.checkpoint=FILE"):
        scoring_clip(sampler, source, "tiny", None, CPU)
    with pytest.raises(UserError, match=r"rerank_clip=ViT-B32: .*\(in this command: rerank_clip.checkpoint=FILE\)"):
        scoring_clip(sampler, source, "ViT-B32", None, CPU)  # which no hub gives here
    with pytest.raises(UserError, match=r"rerank_clip.checkpoint=/no.pt does not exist"):
        scoring_clip(sampler, source, "judge", "/no.pt", CPU)
