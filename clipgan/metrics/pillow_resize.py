"""Resize images as Pillow does, in bytes: the first step of the published pipelines of CLIP, DINOv2 and CMMD."""

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from clipgan.base.pictures import to_picture

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def pillow_resize(images: Tensor, side: int, interpolation: str = "bicubic") -> Tensor:
    """Resize square images: uint8 [N, 3, R, R] -> uint8 [N, 3, side, side] on the same device.

    Args:
        images: on any device; Pillow works on the CPU.
        side: pixels.
        interpolation: bicubic | bilinear, both antialiased.
    """
    if images.shape[-1] == side:
        return images
    pictures = (to_picture(image).resize((side, side), FILTERS[interpolation]) for image in images.cpu())
    return torch.stack([pil_to_tensor(picture) for picture in pictures]).to(images.device)
