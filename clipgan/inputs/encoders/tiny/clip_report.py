"""The accuracy of a small CLIP: attribute swaps on drawn scenes, retrieval on held-out images.

Retrieval overrates a CLIP: colour and position settle most random cases. A swap leaves one attribute to settle them.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import CLIP

from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.shapes import ATTRIBUTES, Scene, caption, render, sample_scene, swap_attribute
from clipgan.inputs.encoders.preprocess import Preprocess

Tokenizer = Callable[[list[str]], torch.Tensor]

CASES = 400  # scenes for each attribute; the standard error of an accuracy of 0.9 is then 0.015
CASES_SEED = 0x68656C64  # no training draws these scenes: its generators have another seed sequence
CANDIDATES = 64
CHUNK = 200


@torch.no_grad()
def attribute_accuracy(model: CLIP, tokenizer: Tokenizer, preprocess: Preprocess) -> dict[str, float]:
    """Measure, for each attribute, how often an image and its caption match better than after a swap of the attribute.

    Half of the cases compare an image with its caption and with the swapped scene's caption (same template). The other
    half compare a caption with both images. Chance is 0.5. The keys are the attributes, their `mean` (which
    `min_attribute_accuracy` limits) and their `minimum`.
    """
    rng = np.random.default_rng(CASES_SEED)
    accuracy = {attribute: _swap_accuracy(attribute, rng, model, tokenizer, preprocess) for attribute in ATTRIBUTES}
    values = list(accuracy.values())
    return {**accuracy, "mean": round(float(np.mean(values)), 4), "minimum": min(values)}


def _swap_accuracy(
    attribute: str, rng: np.random.Generator, model: CLIP, tokenizer: Tokenizer, preprocess: Preprocess
) -> float:
    scenes: list[Scene] = []
    while len(scenes) < CASES:
        scene = sample_scene(rng)
        if attribute != "relation" or scene.relation is not None:
            scenes.append(scene)
    swapped = [swap_attribute(scene, rng, attribute)[0] for scene in scenes]
    wording = rng.integers(1 << 31, size=CASES)  # a scene and its swapped one get the same template

    def embed(scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
        images = np.stack([render(scene, preprocess.size) for scene in scenes]).transpose(0, 3, 1, 2)
        texts = [caption(scene, np.random.default_rng(seed)) for scene, seed in zip(scenes, wording, strict=True)]
        return _image_embedding(images, model, preprocess), _text_embedding(texts, model, tokenizer)

    (image, text), (other_image, other_text) = embed(scenes), embed(swapped)
    true = (image * text).sum(1)
    by_image = true > (image * other_text).sum(1)
    by_text = true > (other_image * text).sum(1)
    return round(torch.cat([by_image, by_text]).float().mean().item(), 4)


@torch.no_grad()
def retrieval_top1(model: CLIP, tokenizer: Tokenizer, preprocess: Preprocess, heldout: Split) -> float:
    """Measure how often an image's first caption ranks first among those of 64 held-out images (or all, if fewer)."""
    size = min(CANDIDATES, len(heldout))
    order = np.random.default_rng(CASES_SEED).permutation(len(heldout))[: min(len(heldout) // size, 8) * size]
    hits = []
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        image = _image_embedding(heldout.images[chosen], model, preprocess)
        text = _text_embedding([heldout.captions[i][0] for i in chosen], model, tokenizer)
        hits.append((image @ text.T).argmax(1).cpu() == torch.arange(size))
    return round(torch.cat(hits).float().mean().item(), 4)


def _image_embedding(images: np.ndarray, model: CLIP, preprocess: Preprocess) -> torch.Tensor:
    device = model.logit_scale.device
    chunks = [torch.from_numpy(np.ascontiguousarray(images[k : k + CHUNK])) for k in range(0, len(images), CHUNK)]
    features = [model.encode_image(preprocess(chunk.to(device).float() / 127.5 - 1)) for chunk in chunks]
    return F.normalize(torch.cat(features), dim=1)


def _text_embedding(texts: list[str], model: CLIP, tokenizer: Tokenizer) -> torch.Tensor:
    device = model.logit_scale.device
    chunks = [tokenizer(texts[k : k + CHUNK]).to(device) for k in range(0, len(texts), CHUNK)]
    return F.normalize(torch.cat([model.encode_text(chunk) for chunk in chunks]), dim=1)
