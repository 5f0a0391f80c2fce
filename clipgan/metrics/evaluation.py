"""Evaluate a generator: it makes one set of images, and each due measure is computed from this set.

Shapes: N generated images, M real ones, n images of a chunk, D width of the extractor's features.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.base.arrays import save_array
from clipgan.base.cache import cache_entry
from clipgan.base.console import track
from clipgan.base.distributed import from_first, rank
from clipgan.config import NEEDS, Config, Need, possible_objectives
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.features.feature_cache import Features
from clipgan.metrics.extractors import Extractor, InceptionExtractor, JudgeExtractor
from clipgan.metrics.generated import Context, ReadImages, measured
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.measure import FEATURES, JUDGED, REDRAWN, Measure, Setting
from clipgan.metrics.metric_names import split_of
from clipgan.metrics.prompts import choose_prompts, real_indices
from clipgan.models.networks.generator import TextToImage

VERSION = 1  # part of the cache key: raise it when the same images would give other features
DEFINITIONS = 2  # version of the metrics: raise it when the meaning of a name changes


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
        context: Context = nullcontext,
    ) -> None:
        """Extract the real images' features if they are not in the cache.

        Args:
            config: the run; `config.metrics` is the protocol.
            features: features by the guiding CLIP; its text features are the prompts.
            judge: the CLIP that judges, or None.
            guide: the CLIP that guides.
            cache_dir: the cache, which keeps the real images' features.
            device: the device of all networks.
            context: makes the context of the generator's forward pass: autocast to the training's precision.

        Raises:
            UserError: Inception's weights are missing, or a requested measure needs more images.
        """
        name = split_of(config)
        split = getattr(data, name)
        objective = config.metrics.objective or ("fjd" if judge is not None and any(split.captions) else "fid")
        config = replace(config, metrics=replace(config.metrics, objective=objective))
        self.config, self.metrics, self.judge, self.device = config, config.metrics, judge, device
        self.context = context
        self.self_judged = judge is not None and judge.weights == guide.weights
        chosen = real_indices(split, self.metrics)
        self.measures = {measure: load_measure(measure) for measure in {*self.metrics.asked(), objective, "fid"}}
        for measure in self.measures.values():
            measure.check(config, len(chosen))
        self.prompts = choose_prompts(split, getattr(features, name), self.metrics, config.condition)
        self.extractor: Extractor
        if self.metrics.extractor == "judge":
            assert judge is not None
            self.extractor = JudgeExtractor(judge)
        else:
            weights = find_inception_weights(self.metrics.inception_weights)
            self.extractor = InceptionExtractor(weights, self.metrics.resize, device)
        self.real = self._real_rows(split.images, chosen, f"{data.fingerprint} {name}", cache_dir)
        captioned = self.prompts.captions is not None
        real_captions = [split.captions[index][0] for index in chosen] if captioned else None
        self.setting = Setting(
            config, self.real, self.prompts.captions, judge, self.self_judged, real_captions, self._features_of
        )
        self.names = {
            measure: load_measure(measure).name(self.setting) for measure in possible_objectives(*self._unmet())
        }
        self.key = self.names[objective]

    def record(self) -> dict[str, str | int]:
        """Parameters of the evaluation for the run's record, besides `config.metrics`."""
        judged = (
            "none" if self.judge is None else "the guide itself" if self.self_judged else "independent of the guide"
        )
        return {
            "fid_key": self.key,
            "metrics/split": split_of(self.config),
            "metrics/n_real": len(self.real),
            "metrics/version": DEFINITIONS,
            "metrics/precision": self.config.precision,  # of the generator; the extractor and the judge have their own
            "metrics/extractor": self.extractor.key,
            "metrics/judge": judged,
            "metrics/judge_key": "none" if self.judge is None else self.judge.key,
        }

    def __call__(self, generator: TextToImage, last: bool) -> dict[str, float]:
        """Compute metrics by name, with `self.key` always; all processes must call this and get the same values.

        Args:
            generator: the generator with the weights that `metrics.weights` names.
            last: whether the training ends here.
        """
        return self._values(self._due(last), lambda read, draw: self._measured(generator, read, draw))

    def of_pictures(self, pictures: Callable[[int], Tensor]) -> dict[str, float]:
        """Compute all metrics of pictures from another source than a generator.

        Args:
            pictures: returns the pictures of draw 0 or 1 for `prompts`, uint8 [N, 3, R, R].
        """

        def measured(read: ReadImages, draw: int) -> dict[str, Tensor]:
            rows = read(pictures(draw).to(self.device), range(len(self.prompts)))
            return {name: row.cpu() for name, row in rows.items()}

        return self._values(self._due(last=True), measured)

    def _values(self, due: list[str], measured: Callable[[ReadImages, int], dict[str, Tensor]]) -> dict[str, float]:
        """Compute metrics by name.

        Args:
            due: names of the measures.
            measured: computes rows of all pictures of draw 0 or 1, [N, ...] by name, on the CPU.
        """
        measures = [self.measures[name] for name in due]
        needed = {row for measure in measures for row in measure.rows}
        rows = measured(lambda images, numbers: self._rows(images, numbers, measures, needed), 0)
        if REDRAWN in needed:
            rows[REDRAWN] = measured(lambda images, _: self._extracted(images, {FEATURES}), 1)[FEATURES]
        values: dict[str, float] = {}
        for measure in measures if rank() == 0 else []:
            values |= measure.metrics(rows, self.setting)
        return from_first(values)

    def _measured(self, generator: TextToImage, measure: ReadImages, draw: int = 0) -> dict[str, Tensor]:
        """Generate the images and apply `measure` to them; see `measured`."""
        conditions = self.prompts.conditions.to(self.device)
        return measured(generator, conditions, self.config.seed, measure, draw, self.context)

    def _due(self, last: bool) -> list[str]:
        """List the measures of a snapshot: FID, the objective, and those due whose needs the data set meets."""
        unmet = self._unmet()
        due = [name for name in self.metrics.due(last) if not unmet & {*NEEDS[name]}]
        return list(dict.fromkeys(["fid", self.metrics.objective or "fid", *due]))

    def _unmet(self) -> set[Need]:
        """The needs that data and judge do not meet."""
        captions = self.prompts.captions is not None
        met = {
            Need.CAPTIONS: captions,
            Need.SHAPES: captions and self.config.data.name == "shapes",
            Need.JUDGE: self.judge is not None,
        }
        return {need for need, is_met in met.items() if not is_met}

    def _rows(self, images: Tensor, numbers: range, measures: list[Measure], needed: set[str]) -> dict[str, Tensor]:
        """Compute the rows of a chunk of images, [n, ...] by name: shared `needed` rows and the measures' own rows."""
        rows = self._extracted(images, needed)
        if JUDGED in needed:
            assert self.judge is not None
            same = self.metrics.extractor == "judge"
            rows[JUDGED] = (
                rows[FEATURES] if same else in_batches(JudgeExtractor(self.judge), images, self.metrics.batch)[FEATURES]
            )
        captions = self.prompts.captions
        chosen = captions and [captions[number % len(captions)] for number in numbers]
        for measure in measures:
            rows |= measure.read(images, chosen)
        return rows

    def _features_of(self, images: Tensor) -> Tensor:
        """Extract the features of uint8 images [n, 3, R, R], on the CPU."""
        return in_batches(self.extractor, images.to(self.device), self.metrics.batch)[FEATURES].cpu()

    def _extracted(self, images: Tensor, needed: set[str]) -> dict[str, Tensor]:
        """Compute the extractor's needed rows of a chunk."""
        rows = in_batches(self.extractor, images, self.metrics.batch)
        return {name: row for name, row in rows.items() if name in needed}

    def _real_rows(self, images: np.ndarray, chosen: np.ndarray, source: str, cache_dir: Path) -> Tensor:
        """Load or compute the extractor's features of the real images, [M, D]."""

        def write(directory: Path) -> None:
            step, parts = self.metrics.batch, []
            for start in track(range(0, len(chosen), step), "features of the real images", -(-len(chosen) // step)):
                batch = torch.from_numpy(images[chosen[start : start + step]]).to(self.device)
                parts.append(self.extractor(batch)["features"].cpu())
            save_array(directory / "features.npy", torch.cat(parts).numpy())

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


def load_measure(name: str) -> Measure:
    """Import the measure that `clipgan/config/measure_registry.py` registers under a name."""
    measure: Measure = import_module(f"clipgan.metrics.measures.{name}").MEASURE
    return measure
