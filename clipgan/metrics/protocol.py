"""What a figure is called: the measure, the number of images, the protocol, and whose features were compared.

    fid5k  fid50k_full  fid30k_coco  fid2k_clip_tiny  fid2k_train_clip_tiny_self  kid2k_clip_tiny_sd  recall5k_inception
    fid5k_real2k

The name is made of the fields that a figure depends on, so that it says what was done, whatever the option of the
group `metrics` is called. The bare measure is torch-fidelity's Inception and nothing else.
"""

from clipgan.config import Config

PROTOCOLS = {  # (split, real images, captions) -> how the field calls it
    ("heldout", "prompted", "first"): "",
    ("train", "prompted", "first"): "_train",
    ("train", "all", "random"): "_full",  # StyleGAN2-ADA's fid50k_full
    ("heldout", "all", "random"): "_coco",  # as on MS-COCO: 30,000 random captions of the validation split
}
PROMPTS = {(split, captions): name for (split, _, captions), name in PROTOCOLS.items()}  # without real images


def split_of(config: Config) -> str:
    """Whose captions are the prompts, and whose images the real ones."""
    return config.metrics.split or config.data.fid_split


def figure_name(
    measure: str,
    config: Config,
    self_judged: bool,
    n_real: int,
    of_inception: bool = False,
    against_real: bool = True,
) -> str:
    """The name of a metric of the extractor's rows.

    Args:
        measure: fid, kid, precision ..., or the standard deviation of one (fid_sd).
        config: the run.
        self_judged: whether the CLIP that judges is the one that guides.
        n_real: real images; a split may have fewer than `metrics.n_images`, and a FID against fewer is another one.
        of_inception: whether the measure is defined by Inception's features, so that its name need not say Inception.
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
    """The key of a measure by which the judge compares images with their captions."""
    return f"{measure}{prompts_name(config)}{judge_name(config, self_judged)}{weights_name(config)}"


def accuracy_name(attribute: str, config: Config) -> str:
    """The key of the oracle's share of objects that have an attribute as their caption says."""
    return f"accuracy_{attribute}{prompts_name(config)}{weights_name(config)}"


def count_name(count: int) -> str:
    """`5k` for 5000, `250` for 250."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def protocol_name(config: Config) -> str:
    """The convention, or its three fields where it has no name."""
    fields = (split_of(config), config.metrics.real, config.metrics.captions)
    return PROTOCOLS.get(fields, "_" + "_".join(fields))


def prompts_name(config: Config) -> str:
    """What is left of the convention where no real image is looked at."""
    return PROMPTS[split_of(config), config.metrics.captions]


def judge_name(config: Config, self_judged: bool) -> str:
    """`_clip_tiny`, and `_self` where it is the guide as well; MLflow takes no @ in a key."""
    assert config.metrics.judge is not None
    return f"_clip_{config.metrics.judge.name.replace('@', '-')}" + ("_self" if self_judged else "")


def weights_name(config: Config) -> str:
    """The moving average's figures carry no mark."""
    return "" if config.metrics.weights == "ema" else f"_{config.metrics.weights}"
