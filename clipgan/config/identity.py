"""The keys that change no metric, stated once: for the resume check and for the identity of a sweep."""

from collections.abc import Iterable

from clipgan.config.measure_registry import MEASURES

# Each entry is a key, or the name of a whole section.
CHANGE_NO_METRIC = (
    "cache_dir", "log", "mlflow", "device", "threads", "processes", "compile", "graphs", "deterministic", "resume",
    "keep_last", "keep_best", "checkpoint_minutes", "sample_prompts", "sample_latents", "clip.grad_checkpointing",
    "metrics.batch", "metrics.dinov2_weights", "metrics.cmmd_weights",  # metrics of other weights have other names
    *(f"metrics.{measure}" for measure in MEASURES),
)  # fmt: skip

# A run may go on with other values of these: its metrics so far stay as they are. Two sweeps that differ in them are
# different sweeps: trials of different lengths or objectives do not compare.
CHANGE_WHEN_RESUMED = (
    "kimg", "seconds", "snapshot_kimg", "snapshot_epochs", "metrics.returns", "simclr.few_labels", "simclr.finetune",
)  # fmt: skip

# A run may go on with other paths: a checkpoint has digests of what the files held (`Task.sources`).
CHECKED_BY_CONTENT = (
    "data.path", "data.heldout_path", "clip.checkpoint", "resnet.checkpoint", "resnet.run",
    "discriminator.checkpoint", "metrics.judge.checkpoint", "metrics.inception_weights",
)  # fmt: skip

# These choose data and encoders: two runs with the same ones have the same `Task.sources`, unless a file has changed.
CHOOSE_SOURCES = (
    "data", "resolution", "clip", "resnet", "discriminator", "metrics.extractor", "metrics.judge",
    "metrics.inception_weights", "metrics.resize",
)  # fmt: skip

# With the value `process` these sum over the images of one process, so a run may not go on in another number of them.
WITHIN_A_PROCESS = ("model.lafite.text_logit", "model.lafite.contrast")

# task=simclr does not read these.
FOR_GANS_ONLY = (
    "loss", "condition", "resnet", "model", "adversarial", "discriminator", "augment", "budget", "metrics",
    "clip@metrics.judge", "contrast", "S", "h", "heterologous", "C_it", "C_ii", "kimg", "seconds", "snapshot_kimg",
    "init", "freeze_d", "compile", "graphs", "sample_prompts", "sample_latents", "mlflow.log_model",
)  # fmt: skip


def is_listed(key: str, keys: Iterable[str]) -> bool:
    """Whether a list names a key, or a section or group that the key belongs to."""
    return any(key == each or key.startswith((f"{each}.", f"{each}@")) for each in keys)


def not_in_identity(task: str) -> list[str]:
    """The keys that make no other sweep.

    Args:
        task: gan | simclr.
    """
    return [*CHANGE_NO_METRIC, *(FOR_GANS_ONLY if task == "simclr" else ())]
