"""Name metrics by the measure, the number of images, the protocol, and the network that extracts the features.

    fid5k  fid50k_full  fid30k_coco  fid2k_clip_tiny64  fid2k_train_clip_tiny_self  kid2k_clip_tiny64_sd
    recall5k_inception  fid5k_real2k  fid30k_lafite  fd30k_lafite_dinov2  fid30k_list-1a2b3c4d

The name contains the fields that the value depends on, not the option's name in the group `metrics`. A name without a
network always means torch-fidelity's Inception with its published weights.
"""

from clipgan.base.checksums import file_digest
from clipgan.config import Config

PROTOCOLS = {  # (split of the prompts, split of the real images, real images, captions) -> suffix
    ("heldout", "heldout", "prompted", "first"): "",
    ("train", "train", "prompted", "first"): "_train",
    ("train", "train", "all", "random"): "_full",  # StyleGAN2-ADA's fid50k_full
    ("heldout", "heldout", "all", "random"): "_coco",  # as on MS-COCO: 30,000 random captions of the validation split
    ("heldout", "train", "all", "one"): "_lafite",  # LAFITE's: prompts of the test split, real images of training
}
# (split of the prompts, captions) -> suffix, for measures without real images
PROMPTS = {(prompts, captions): name for (prompts, _, _, captions), name in PROTOCOLS.items()}


def prompt_split(config: Config) -> str:
    """Return the split whose captions are the prompts."""
    return config.metrics.prompt_split or config.metrics.split or config.data.fid_split


def real_split(config: Config) -> str:
    """Return the split of the real images."""
    return config.metrics.real_split or config.metrics.split or config.data.fid_split


def extractor_name(
    measure: str,
    config: Config,
    self_judged: bool,
    n_real: int,
    of_inception: bool = False,
    against_real: bool = True,
    mark: str = "",
) -> str:
    """Name a metric of the extractor's features or logits.

    Args:
        measure: fid | kid | precision ..., or the standard deviation of one of them (fid_sd).
        config: the run.
        self_judged: whether the judge CLIP is also the guide CLIP.
        n_real: number of real images; fewer than `metrics.n_images` make another metric, with another name.
        of_inception: whether Inception's features define the measure; then the name does not contain Inception.
        against_real: whether the measure compares generated images with real ones.
        mark: `Extractor.mark` of Inception; with weights of its own, Inception is always named.
    """
    metrics = config.metrics
    measure, deviation = measure.removesuffix("_sd"), "_sd" if measure.endswith("_sd") else ""
    compared = compared_name(config, n_real) if against_real else prompts_name(config)
    parts = [measure, count_name(metrics.n_images), compared]
    if metrics.extractor == "judge":
        parts.append(judge_name(config, self_judged))
    elif mark or not of_inception:
        parts.append(f"_inception{mark}")
    parts.append("" if metrics.resize == "extractor" else f"_{metrics.resize}")
    return "".join(parts) + weights_name(config) + deviation


def network_name(measure: str, config: Config, n_real: int, network: str) -> str:
    """Name a metric that compares real and generated images in a network of its own (`network`, such as `_dinov2`)."""
    count = count_name(config.metrics.n_images)
    return f"{measure}{count}{compared_name(config, n_real)}{network}{weights_name(config)}"


def caption_name(measure: str, config: Config, self_judged: bool) -> str:
    """Name a metric of the judge's comparison of images with their captions."""
    return f"{measure}{prompts_name(config)}{judge_name(config, self_judged)}{weights_name(config)}"


def accuracy_name(attribute: str, config: Config) -> str:
    """Name the share of objects whose attribute, read by the oracle, agrees with the caption; ``: of all attributes."""
    return f"accuracy{attribute and '_'}{attribute}{prompts_name(config)}{weights_name(config)}"


def count_name(count: int) -> str:
    """Write a count: `5k` for 5000, `250` for 250."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def compared_name(config: Config, n_real: int) -> str:
    """Return the suffix of the compared images: the protocol's, and the number of real images if it is unusual."""
    fewer = config.metrics.real == "prompted" and n_real != config.metrics.n_images
    return (f"_real{count_name(n_real)}" if fewer else "") + protocol_name(config)


def protocol_name(config: Config) -> str:
    """Return the protocol's suffix from `PROTOCOLS`; a protocol without a usual name gets its fields."""
    metrics, real = config.metrics, real_split(config)
    if metrics.caption_list is not None:
        return ("" if real == "heldout" else f"_{real}") + prompts_name(config)
    fields = (prompt_split(config), real, metrics.real, metrics.captions)
    if fields in PROTOCOLS:
        return PROTOCOLS[fields]
    splits = fields[:1] if fields[0] == real else fields[:2]
    return "_" + "_".join((*splits, *fields[2:]))


def prompts_name(config: Config) -> str:
    """Return the protocol's suffix for measures without real images; that of a list of captions has its digest."""
    file = config.metrics.caption_list
    if file is not None:
        return f"_list-{file_digest(file)[:8]}"
    fields = (prompt_split(config), config.metrics.captions)
    return PROMPTS.get(fields, "_" + "_".join(fields))


def judge_name(config: Config, self_judged: bool) -> str:
    """Return `_clip_tiny`, with `_self` if the judge is also the guide; `@` becomes `-`, because MLflow forbids @."""
    assert config.metrics.judge is not None
    return f"_clip_{config.metrics.judge.name.replace('@', '-')}" + ("_self" if self_judged else "")


def weights_name(config: Config) -> str:
    """Return the suffix of the weights; the moving average has no suffix."""
    return "" if config.metrics.weights == "ema" else f"_{config.metrics.weights}"
