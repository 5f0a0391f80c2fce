"""Names of metrics: the measure, the number of images, the protocol, and the network whose features are compared.

    fid5k  fid50k_full  fid30k_coco  fid2k_clip_tiny  fid2k_train_clip_tiny_self  kid2k_clip_tiny_sd  recall5k_inception
    fid5k_real2k

The name is made from the fields that the value depends on, not from the option's name in the group `metrics`. A name
without a network means torch-fidelity's Inception, and only that.
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
    """The split whose captions are the prompts and whose images are the real images."""
    return config.metrics.split or config.data.fid_split


def figure_name(
    measure: str,
    config: Config,
    self_judged: bool,
    n_real: int,
    of_inception: bool = False,
    against_real: bool = True,
) -> str:
    """The name of a metric of the extractor's features or logits.

    Args:
        measure: fid | kid | precision ..., or the standard deviation of one of them (fid_sd).
        config: the run.
        self_judged: whether the judge is the CLIP that guides.
        n_real: number of real images; a split may have fewer than `metrics.n_images`, which makes another metric.
        of_inception: whether Inception's features define the measure, so that the name leaves Inception out.
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
    """The name of a measure that compares images with their captions by the judge."""
    return f"{measure}{prompts_name(config)}{judge_name(config, self_judged)}{weights_name(config)}"


def accuracy_name(attribute: str, config: Config) -> str:
    """The name of the share of objects whose attribute, as the oracle reads it, is the caption's."""
    return f"accuracy_{attribute}{prompts_name(config)}{weights_name(config)}"


def count_name(count: int) -> str:
    """`5k` for 5000, `250` for 250."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def protocol_name(config: Config) -> str:
    """The suffix of the protocol; its three fields where the field has no name for it."""
    fields = (split_of(config), config.metrics.real, config.metrics.captions)
    return PROTOCOLS.get(fields, "_" + "_".join(fields))


def prompts_name(config: Config) -> str:
    """The suffix of the protocol for measures without real images."""
    return PROMPTS[split_of(config), config.metrics.captions]


def judge_name(config: Config, self_judged: bool) -> str:
    """`_clip_tiny`, with `_self` where the judge is the guide too; `@` becomes `-`, as MLflow allows no @ in a key."""
    assert config.metrics.judge is not None
    return f"_clip_{config.metrics.judge.name.replace('@', '-')}" + ("_self" if self_judged else "")


def weights_name(config: Config) -> str:
    """The suffix of the weights; the moving average has none."""
    return "" if config.metrics.weights == "ema" else f"_{config.metrics.weights}"
