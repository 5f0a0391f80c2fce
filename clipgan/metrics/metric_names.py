"""Name metrics by the measure, the number of images, the protocol, and the network that extracts the features.

    fid5k  fid50k_full  fid30k_coco  fid2k_clip_tiny64  fid2k_train_clip_tiny_self  kid2k_clip_tiny64_sd
    recall5k_inception  fid5k_real2k

The name contains the fields that the value depends on, not the option's name in the group `metrics`. A name without a
network always means torch-fidelity's Inception.
"""

from clipgan.config import Config

PROTOCOLS = {  # (split, real images, captions) -> suffix
    ("heldout", "prompted", "first"): "",
    ("train", "prompted", "first"): "_train",
    ("train", "all", "random"): "_full",  # StyleGAN2-ADA's fid50k_full
    ("heldout", "all", "random"): "_coco",  # as on MS-COCO: 30,000 random captions of the validation split
}
PROMPTS = {(split, captions): name for (split, _, captions), name in PROTOCOLS.items()}  # without real images


def split_of(config: Config) -> str:
    """Return the split that provides the prompts (its captions) and the real images."""
    return config.metrics.split or config.data.fid_split


def figure_name(
    measure: str,
    config: Config,
    self_judged: bool,
    n_real: int,
    of_inception: bool = False,
    against_real: bool = True,
) -> str:
    """Name a metric of the extractor's features or logits.

    Args:
        measure: fid | kid | precision ..., or the standard deviation of one of them (fid_sd).
        config: the run.
        self_judged: whether the judge CLIP is also the guide CLIP.
        n_real: number of real images; fewer than `metrics.n_images` make another metric, with another name.
        of_inception: whether Inception's features define the measure; then the name does not contain Inception.
        against_real: whether the measure compares generated images with real ones.
    """
    metrics = config.metrics
    measure, deviation = measure.removesuffix("_sd"), "_sd" if measure.endswith("_sd") else ""
    parts = [measure, count_name(metrics.n_images)]
    if not against_real:
        parts.append(prompts_name(config))
    else:
        fewer = metrics.real == "prompted" and n_real != metrics.n_images
        parts += [f"_real{count_name(n_real)}" if fewer else "", protocol_name(config)]
    if metrics.extractor == "judge":
        parts.append(judge_name(config, self_judged))
    elif not of_inception:
        parts.append("_inception")
    parts.append("" if metrics.resize == "extractor" else f"_{metrics.resize}")
    return "".join(parts) + weights_name(config) + deviation


def caption_name(measure: str, config: Config, self_judged: bool) -> str:
    """Name a metric of the judge's comparison of images with their captions."""
    return f"{measure}{prompts_name(config)}{judge_name(config, self_judged)}{weights_name(config)}"


def accuracy_name(attribute: str, config: Config) -> str:
    """Name the share of objects whose attribute, read by the oracle, agrees with the caption; ``: of all attributes."""
    return f"accuracy{attribute and '_'}{attribute}{prompts_name(config)}{weights_name(config)}"


def count_name(count: int) -> str:
    """Write a count: `5k` for 5000, `250` for 250."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def protocol_name(config: Config) -> str:
    """Return the protocol's suffix from `PROTOCOLS`; a protocol without a usual name gets its three fields."""
    fields = (split_of(config), config.metrics.real, config.metrics.captions)
    return PROTOCOLS.get(fields, "_" + "_".join(fields))


def prompts_name(config: Config) -> str:
    """Return the protocol's suffix for measures without real images."""
    return PROMPTS[split_of(config), config.metrics.captions]


def judge_name(config: Config, self_judged: bool) -> str:
    """Return `_clip_tiny`, with `_self` if the judge is also the guide; `@` becomes `-`, because MLflow forbids @."""
    assert config.metrics.judge is not None
    return f"_clip_{config.metrics.judge.name.replace('@', '-')}" + ("_self" if self_judged else "")


def weights_name(config: Config) -> str:
    """Return the suffix of the weights; the moving average has no suffix."""
    return "" if config.metrics.weights == "ema" else f"_{config.metrics.weights}"
