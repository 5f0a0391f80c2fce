"""The metrics of a generator: it makes one set of images, and every metric that is due is computed from this set.

Shapes: N generated images, M real ones, D width of the extractor's features, C width of the judge's embedding.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.base.cache import cache_entry
from clipgan.base.console import track
from clipgan.base.distributed import from_first, rank
from clipgan.base.errors import UserError
from clipgan.config import MEASURES, Config
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.data.shapes_captions import parse_caption
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.features.feature_cache import Features
from clipgan.metrics import shapes_oracle
from clipgan.metrics.extractors import Extractor, InceptionExtractor, JudgeExtractor
from clipgan.metrics.generated import measured
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.prompts import choose_prompts, real_indices
from clipgan.metrics.protocol import accuracy_name, caption_name, figure_name, split_of
from clipgan.metrics.retrieval import candidates_of, clip_score, different_texts, r_precision
from clipgan.metrics.scores import NEIGHBOURS, compare, fid_deviation, inception_score
from clipgan.models.networks.generator import TextToImage

VERSION = 1  # part of the cache key: raise it when the same images would give other features
DEFINITIONS = 2  # of the metrics: raise it when the meaning of a name changes


class Evaluation:
    """Measures the generator of one run by one protocol."""

    def __init__(
        self,
        config: Config,
        data: PackedData,
        features: Features,
        judge: FrozenClip | None,
        guide: FrozenClip,
        cache_dir: Path,
        device: torch.device,
    ) -> None:
        """Extract the real images' features where the cache does not have them.

        Args:
            config: the run; `config.metrics` is the protocol.
            features: features by the guiding CLIP; its text features are the prompts.
            judge: the CLIP that judges, or None.
            guide: the CLIP that guides.
            cache_dir: the cache, which keeps the real images' features.
            device: the device of all networks.

        Raises:
            UserError: Inception's weights are missing, or a metric that is asked for needs more images.
        """
        self.config, self.metrics, self.judge, self.device = config, config.metrics, judge, device
        name = split_of(config)
        split = getattr(data, name)
        self.self_judged = judge is not None and judge.weights == guide.weights
        chosen = real_indices(split, self.metrics)
        self.n_real = len(chosen)
        self._refuse_few()
        self.key = self._figure_name("fid")
        self.prompts = choose_prompts(split, getattr(features, name), self.metrics, config.condition)
        self.extractor: Extractor
        if self.metrics.extractor == "judge":
            assert judge is not None
            self.extractor = JudgeExtractor(judge)
        else:
            weights = find_inception_weights(self.metrics.inception_weights)
            self.extractor = InceptionExtractor(weights, self.metrics.resize, device)
        self.real = self._real_rows(split.images, chosen, f"{data.fingerprint} {name}", cache_dir)
        self._texts: tuple[Tensor, Tensor] | None = None  # the judge's, of the captions; encoded at first use

    def record(self) -> dict[str, str | int]:
        """What a run records of its evaluation, besides `config.metrics`: parameters by name."""
        judged = (
            "none" if self.judge is None else "the guide itself" if self.self_judged else "independent of the guide"
        )
        return {
            "fid_key": self.key,
            "metrics/split": split_of(self.config),
            "metrics/n_real": self.n_real,
            "metrics/version": DEFINITIONS,
            "metrics/extractor": self.extractor.key,
            "metrics/judge": judged,
            "metrics/judge_key": "none" if self.judge is None else self.judge.key,
        }

    def __call__(self, generator: TextToImage, last: bool) -> dict[str, float]:
        """Metrics by name, the same in every process; every process must call this. `self.key` is always among them.

        Args:
            generator: the one with the weights that `metrics.weights` names.
            last: whether the training is at its end.
        """
        due = [
            name for name in MEASURES if getattr(self.metrics, name) in (("end", "snapshot") if last else ("snapshot",))
        ]
        if self.prompts.captions is None:
            due = [name for name in due if name not in ("clip_score", "r_precision", "accuracy")]
        made = (generator, self.prompts.conditions, self.config.seed, self.device)
        rows = measured(*made, lambda images, numbers: self._measure(images, numbers, due))
        if "fid_sd" in due:
            rows["again"] = measured(*made, lambda images, _: self._measure(images, range(0), []), draw=1)["features"]
        values = self._figures(rows, due) if rank() == 0 else {}
        return from_first(values)

    def _refuse_few(self) -> None:
        due, generated, real = self.metrics.precision_recall, self.metrics.n_images, self.n_real
        if due != "never" and min(generated, real) <= NEIGHBOURS:
            raise UserError(
                f"metrics.precision_recall={due} needs at least {NEIGHBOURS + 1} images of both kinds, and there are "
                f"{generated} generated ones (metrics.n_images) and {real} real ones; use never to skip it"
            )

    def _figure_name(self, measure: str) -> str:
        return figure_name(measure, self.config, self.self_judged, self.n_real)

    def _measure(self, images: Tensor, numbers: range, due: list[str]) -> dict[str, Tensor]:
        """Rows of a chunk of images: the extractor's, and those of judge and oracle where a due metric needs them."""
        rows = in_batches(self.extractor, images, self.metrics.batch)
        if "inception_score" not in due:
            rows.pop("logits", None)
        if self.judge is not None and {"clip_score", "r_precision"} & set(due):
            same = self.metrics.extractor == "judge"
            judged = rows if same else in_batches(JudgeExtractor(self.judge), images, self.metrics.batch)
            rows["judged"] = judged["features"]
        if "accuracy" in due:
            captions = self.prompts.captions
            assert captions is not None
            said = [parse_caption(captions[number % len(captions)]) for number in numbers]
            seen = shapes_oracle.read(images.cpu().numpy())
            found = [list(shapes_oracle.hits(*pair).values()) for pair in zip(seen, said, strict=True)]
            rows["hits"] = torch.tensor(found, device=self.device)
        return rows

    def _figures(self, rows: dict[str, Tensor], due: list[str]) -> dict[str, float]:
        generated = rows["features"]
        found = compare(generated, self.real, "kid" in due, "precision_recall" in due)
        if "fid_sd" in due:
            found["fid_sd"] = fid_deviation(generated, rows["again"], self.real, self.config.seed)
        if "inception_score" in due:
            found |= inception_score(rows["logits"])
        values = {self._figure_name(measure): value for measure, value in found.items()}
        if "judged" in rows:
            values |= self._caption_figures(rows["judged"], due)
        if "hits" in rows:
            for name, shares in zip(shapes_oracle.ATTRIBUTES, rows["hits"].T, strict=True):
                known = shares[~shares.isnan()]
                if len(known):  # else no caption names this attribute
                    values[accuracy_name(name, self.config)] = float(known.mean())
        return values

    def _caption_figures(self, images: Tensor, due: list[str]) -> dict[str, float]:
        assert self.judge is not None
        assert self.prompts.captions is not None
        if self._texts is None:
            self._texts = different_texts(self.prompts.captions, self.judge.encode_text)
        (texts, own), values = self._texts, {}
        if "clip_score" in due:
            name = caption_name("clip_score", self.config, self.self_judged)
            values[name] = clip_score(images, texts[own])
        if "r_precision" in due:
            candidates = candidates_of(len(texts))
            name = caption_name(f"r_precision{candidates}", self.config, self.self_judged)
            values[name] = r_precision(images, texts, own, candidates)
        return values

    def _real_rows(self, images: np.ndarray, chosen: np.ndarray, source: str, cache_dir: Path) -> Tensor:
        """The extractor's features of real images, [M, D]."""

        def write(directory: Path) -> None:
            step, parts = self.metrics.batch, []
            for start in track(range(0, len(chosen), step), "features of the real images", -(-len(chosen) // step)):
                batch = torch.from_numpy(images[chosen[start : start + step]]).to(self.device)
                parts.append(self.extractor(batch)["features"].cpu())
            np.save(directory / "features.npy", torch.cat(parts).numpy())

        description = {
            "images": source, "count": len(chosen), "extractor": self.extractor.key, "version": VERSION,
            "batch": self.metrics.batch, "device": self.device.type,  # batch and device change the last bits
        }  # fmt: skip
        entry = cache_entry(cache_dir, "fidelity", description, write)
        return torch.from_numpy(np.load(entry / "features.npy"))


def in_batches(extractor: Extractor, images: Tensor, batch: int) -> dict[str, Tensor]:
    """Apply an extractor to many images, `batch` at a time."""
    parts = [extractor(some) for some in images.split(batch)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
