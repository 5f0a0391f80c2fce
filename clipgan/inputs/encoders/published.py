"""The published weights files of the networks that define metrics, known by the beginning of their SHA-256."""

PUBLISHED_INCEPTION = ("6726825d",)  # torch-fidelity's weights-inception-2015-12-05-6726825d.pth
PUBLISHED_DINOV2 = ("d5383ea8f4877b24",)  # Meta's dinov2_vitl14_pretrain.pth
PUBLISHED_CLIP_L14_336 = ("3035c92b35095992",)  # OpenAI's ViT-L-14-336px.pt


def mark_of(digest: str, published: tuple[str, ...]) -> str:
    """Return what a metric's name says of the weights: nothing of published ones, else the digest's beginning.

    Args:
        digest: the first 16 hex digits of the file's SHA-256.
        published: the beginnings of the digests of the published files.
    """
    return "" if digest.startswith(published) else f"-{digest[:8]}"
