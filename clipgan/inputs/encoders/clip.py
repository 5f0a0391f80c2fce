"""The frozen CLIP that guides the training or judges its images: an open_clip model, pretrained or trained here."""

import difflib
import functools
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.modified_resnet import ModifiedResNet
from open_clip.pretrained import download_pretrained

from clipgan.base.errors import UserError
from clipgan.base.text import first_line
from clipgan.base.vectors import unit
from clipgan.config import ClipConfig
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.encoders.activation import with_lean_activations
from clipgan.inputs.encoders.frozen import FrozenEncoder
from clipgan.inputs.encoders.preprocess import Preprocess, Resizing
from clipgan.inputs.encoders.tiny.tiny_clip import (
    MODEL_CONFIGS,
    WEIGHTS,
    build_clip,
    register_tiny_model,
    tiny_preprocess,
    train_tiny_clip,
)
from clipgan.inputs.encoders.trained_activation import check_activation_of_archive
from clipgan.inputs.encoders.weights import SkipRandomInit, load_strictly, read_state_dict, unreachable

TEXT_BATCH = 256


class FrozenClip(FrozenEncoder):
    """A CLIP whose image tower passes gradients to the images only; its weights have none."""

    def __init__(
        self,
        model: open_clip.CLIP | open_clip.CustomTextCLIP,
        name: str,
        preprocess: Preprocess,
        precision: str = "float32",
        file: Path | None = None,
        grad_checkpointing: bool = False,
    ) -> None:
        """Freeze a model.

        Args:
            model: open_clip's model, with its weights.
            name: open_clip's name of the architecture.
            preprocess: the preprocessing that the weights were trained with.
            precision: see `FrozenEncoder`.
            file: the file of the weights; None: the weights are random.
            grad_checkpointing: whether the backward pass recomputes the activations of the image tower.

        Raises:
            UserError: `grad_checkpointing` with a ResNet tower; open_clip has it for transformers only.
        """
        if grad_checkpointing and isinstance(model.visual, ModifiedResNet):
            raise UserError(f"clip.grad_checkpointing=true is not allowed for {name}: its image tower is a ResNet")
        model.visual.set_grad_checkpointing(grad_checkpointing)
        architecture = open_clip.get_model_config(name)
        with_lean_activations(model)
        super().__init__(model, preprocess, architecture["embed_dim"], architecture, precision)
        self.tokenizer = load_tokenizer(name)
        self.is_published = name not in MODEL_CONFIGS  # not one that clipgan trains
        self.file = file
        self.truncated = 0  # texts so far that had more tokens than the tower reads
        self.first_truncated = ""  # the first of them

    def record(self) -> dict[str, str]:
        """Return what a run records to find this CLIP again: its identity and the path of its weights."""
        return {"key": self.key, "file": "" if self.file is None else str(self.file.resolve())}

    def image_features_raw(self, images: torch.Tensor, resizing: Resizing | None = None) -> torch.Tensor:
        """Encode images [N, 3, R, R] in [-1, 1] to float32 [N, dim] without normalisation; differentiable."""
        with self.autocast():
            return self.backbone.encode_image(self.pixels(images, resizing)).float()

    def encode_image(self, images: torch.Tensor, resizing: Resizing | None = None) -> torch.Tensor:
        """Encode images [N, 3, R, R] in [-1, 1] to float32 [N, dim] of unit length; differentiable."""
        return unit(self.image_features_raw(images, resizing))

    @torch.no_grad()
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode N texts to float32 [N, dim] of unit length; a text beyond the context is truncated and counted."""
        device = self.backbone.logit_scale.device  # the text tower's
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = [
                self.backbone.encode_text(self._tokens(texts[start : start + TEXT_BATCH]).to(device)).float()
                for start in range(0, len(texts), TEXT_BATCH)
            ]
        return F.normalize(torch.cat(features), dim=-1).to(self.preprocess.mean.device)

    @property
    def context(self) -> int:
        """The number of tokens that the text tower reads, of which two mark the beginning and the end."""
        return self.tokenizer.context_length

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        """Tokenise N texts to integers [N, context], and count those that are truncated.

        A row that ends with two equal tokens, the padding, has room left. Of the other rows, a truncated one changes in
        its last place if the context is longer. (Tokenizers that put a class token last are not looked at.)
        """
        tokens = self.tokenizer(texts)
        if getattr(self.tokenizer, "tokenizer_mode", None) != "clips":
            full = [row for row, (a, b) in enumerate(tokens[:, -2:].tolist()) if a != b]
            if full:
                longer = self.tokenizer([texts[row] for row in full], context_length=self.context + 1)
                cut = (longer[:, self.context - 1] != tokens[full, -1]).nonzero().flatten().tolist()
                self.truncated += len(cut)
                if cut and not self.first_truncated:
                    self.first_truncated = texts[full[cut[0]]]
        return tokens

    def start_steps(self, precision: str) -> None:
        """See `FrozenEncoder`. The text tower moves to the CPU: no step encodes texts, and it would occupy the GPU."""
        super().start_steps(precision)
        self.move_text_tower(torch.device("cpu"))

    def move_text_tower(self, device: torch.device) -> None:
        """Move all weights but those of the image tower; `encode_text` then computes on `device`."""
        tower = self.tower
        self.backbone.visual = None
        self.backbone.to(device)
        self.backbone.visual = tower


def load_clip(config: ClipConfig, data: PackedData | None, cache_dir: Path, device: torch.device) -> FrozenClip:
    """Load the CLIP that `config` names.

    Its weights come from `config.checkpoint` if given, else from a training on `data` (cached) if `config.train` is
    given, else from the pretrained tag. Only the training reads `data`.

    Raises:
        UserError: the model or tag is unknown, the weights file is missing or foreign, the weights cannot be
            downloaded, or the training does not reach `min_attribute_accuracy`.
    """
    check_model(config.model, config.checkpoint)
    if "multimodal_cfg" in open_clip.get_model_config(config.model):
        raise UserError(f"clip.model={config.model} also writes captions (CoCa); choose a model with just two towers")
    pretrained = _pretrained_settings(config)
    preprocess = choose_preprocess(config)
    load_tokenizer(config.model)  # fails here, before a download of gigabytes
    if config.checkpoint is not None:
        check_activation_of_archive(config)
        path, source = Path(config.checkpoint), f"clip.checkpoint={config.checkpoint}"
    elif config.train is not None:
        if config.model not in MODEL_CONFIGS:
            small = " and ".join(MODEL_CONFIGS)
            raise UserError(f"clip.model={config.model} cannot be trained here: clip.train belongs to {small}")
        assert data is not None
        path = train_tiny_clip(config.train, data, cache_dir, device, config.model) / WEIGHTS
        source = str(path)
    else:
        path = _pretrained_file(config, pretrained)
        source = f"clip.pretrained={config.pretrained} ({path})"
    with SkipRandomInit():
        model = build_clip(config.model)
    load_strictly(model, read_state_dict(path, "clip.checkpoint"), source, config.model)
    return FrozenClip(model, config.model, preprocess, config.precision, path, config.grad_checkpointing).to(device)


def check_model(model: str, checkpoint: str | None = None) -> None:
    """Refuse all models but open_clip's own architectures and the small CLIP.

    open_clip also accepts `local-dir:DIRECTORY` and `hf-hub:REPOSITORY`, whose tokenizer may be code of the directory.

    Args:
        model: open_clip's name.
        checkpoint: the weights file that the user gave, for the message.

    Raises:
        UserError: names the closest architectures.
    """
    register_tiny_model()
    if model not in open_clip.list_models():
        close = difflib.get_close_matches(model, open_clip.list_models(), n=5, cutoff=0.3)
        hint = "; give weights of your own for one of them with clip.checkpoint=FILE" if checkpoint is None else ""
        raise UserError(
            f"clip.model={model} is not a model of open_clip; close names: {', '.join(close) or 'none'}; only "
            f"open_clip's own architectures are allowed{hint}"
        )


@functools.cache  # the guiding and the judging CLIP share a tokenizer: making one takes 0.2 s
def load_tokenizer(model: str) -> Any:
    """Load open_clip's tokenizer for a model, which turns a list of N texts into integers [N, context_length].

    Raises:
        UserError: the model is unknown, or its tokenizer comes from the Hugging Face hub (SigLIP's does) and cannot be
            loaded here.
    """
    check_model(model)
    try:
        return open_clip.get_tokenizer(model)
    except Exception as error:  # a missing package, or any error of the hub's client
        source = open_clip.get_model_config(model)["text_cfg"].get("hf_tokenizer_name", model)
        raise UserError(
            f"clip.model={model} reads texts with the tokenizer {source} of the Hugging Face hub, which cannot be "
            f"loaded ({' '.join(str(error).split())[:200]}); it needs transformers and, once, access to the hub"
        ) from error


def choose_preprocess(config: ClipConfig) -> Preprocess:
    """Choose the preprocessing: the small CLIP's own, else the one of the pretrained tag.

    Without a tag it is the preprocessing that all tags of the model share, or OpenAI's (open_clip's default) for a
    model without tags.

    Raises:
        UserError: the model's tags differ, so a weights file alone does not determine the preprocessing.
    """
    if config.model in MODEL_CONFIGS:
        return tiny_preprocess(config.model)
    tags = open_clip.list_pretrained_tags_by_model(config.model) if config.pretrained is None else [config.pretrained]
    all_settings = [open_clip.get_pretrained_cfg(config.model, tag) for tag in tags] or [{}]
    settings = [
        (
            tuple(each.get("mean") or OPENAI_DATASET_MEAN),
            tuple(each.get("std") or OPENAI_DATASET_STD),
            "bilinear" if each.get("interpolation") == "bilinear" else "bicubic",
        )
        for each in all_settings
    ]
    if len(set(settings)) > 1:
        raise UserError(
            f"clip.checkpoint={config.checkpoint} does not say how to preprocess images for {config.model}, and its "
            f"published weights differ in this; give clip.pretrained as well, the closest of {', '.join(tags)}"
        )
    size = open_clip.get_model_config(config.model)["vision_cfg"].get("image_size", 224)
    return Preprocess(size, *settings[0])


def _pretrained_settings(config: ClipConfig) -> dict[str, Any]:
    """Return open_clip's entry for the tag (source of the weights, mean and std, activation); empty without a tag."""
    if config.pretrained is None:
        return {}
    settings = open_clip.get_pretrained_cfg(config.model, config.pretrained)
    if not settings:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(config.model)) or "none"
        raise UserError(f"clip.pretrained={config.pretrained} is not among open_clip's tags of {config.model}: {tags}")
    quick_gelu = bool(open_clip.get_model_config(config.model).get("quick_gelu", False))
    if quick_gelu != bool(settings.get("quick_gelu", False)):
        raise UserError(
            f"clip.pretrained={config.pretrained} was trained with {'GELU' if quick_gelu else 'QuickGELU'}, but "
            f"clip.model={config.model} computes {'QuickGELU' if quick_gelu else 'GELU'}; "
            f"use clip.model={config.model.removesuffix('-quickgelu') if quick_gelu else config.model + '-quickgelu'}"
        )
    return settings


def _pretrained_file(config: ClipConfig, settings: dict[str, Any]) -> Path:
    """Return the weights file of a tag, from the local cache of the hub or downloaded."""
    repository, _, name = settings.get("hf_hub", "").rpartition("/")
    names = [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repository, name) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    url = huggingface_hub.hf_hub_url(repository, names[0]) if repository else settings.get("url", "")
    offline = huggingface_hub.constants.HF_HUB_OFFLINE
    reason = "HF_HUB_OFFLINE is set" if repository and offline else unreachable(url)
    if reason is None:
        try:
            return Path(download_pretrained(settings))
        except Exception as error:  # any error of the hub's client or its transport
            reason = first_line(error)
    where = f"{names[0]} of {repository} on the Hugging Face hub" if repository else url
    original = f", or the original {Path(settings['url']).name}" if settings.get("url") else ""
    raise UserError(
        f"clip.model={config.model} clip.pretrained={config.pretrained}: its weights are not cached here and {url} "
        f"cannot be reached ({reason}). Fetch {where}{original} on another machine and give the file with "
        "clip.checkpoint=FILE"
    )
