"""Evaluate a generator: it makes one set of images, and each due measure is computed from this set.

Shapes: N generated images, M real ones, n images of a chunk, D width of the extractor's features.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.base.distributed import from_first, rank
from clipgan.config import NEEDS, Config, Need, possible_objectives
from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.features.feature_cache import Features
from clipgan.metrics.extractors import Extractor, JudgeExtractor, load_extractor
from clipgan.metrics.generated import Context, ReadImages, chunks_of_a_pass, evaluating, generate, measured
from clipgan.metrics.kept_rows import KeptRows
from clipgan.metrics.measure import FEATURES, JUDGED, OF_EXTRACTOR, REDRAWN, Measure, Setting, load_measure
from clipgan.metrics.metric_names import prompt_split, real_split
from clipgan.metrics.needs import refuse_unmet, unmet_needs
from clipgan.metrics.passes import in_batches, real_features
from clipgan.metrics.prompts import Prompts, choose_prompts, listed_prompts, real_indices
from clipgan.models.networks.generator import TextToImage

DEFINITIONS = 3  # version of the metrics: raise it when the meaning of a name changes


class Evaluation:
    """Measures the generator of one run, or pictures from another source, by one protocol."""

    def __init__(
        self,
        config: Config,
        data: PackedData,
        features: Features | None,
        judge: FrozenClip | None,
        guide: FrozenClip | None,
        cache_dir: Path,
        device: torch.device,
        context: Context = nullcontext,
        asked: Sequence[str] | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        """Extract the real images' features if they are not in the cache.

        Args:
            config: the run; `config.metrics` is the protocol.
            features: features by the guiding CLIP; its text features are the prompts. None where `prompts` are given.
            judge: the CLIP that judges, or None.
            guide: the CLIP that guides; None for pictures of an unknown generator.
            cache_dir: the cache, which keeps the real images' features.
            device: the device of all networks.
            context: makes the context of the generator's forward pass: autocast to the training's precision.
            asked: the measures to compute; None: those that are due in a training.
            prompts: the prompts of pictures that exist already; None: the protocol's.

        Raises:
            UserError: weights are missing, or a requested measure needs more images, or something that is not there.
        """
        objective = config.metrics.objective or ("fjd" if judge and has_captions(config, data) else "fid")
        config = replace(config, metrics=replace(config.metrics, objective=objective))
        self.config, self.metrics, self.judge, self.device = config, config.metrics, judge, device
        self.context, self.asked, self.redraws = context, asked, prompts is None
        self.self_judged = judge is not None and guide is not None and judge.weights == guide.weights
        self.split: Split = getattr(data, real_split(config))  # with the real images
        chosen = real_indices(self.split, self.metrics)
        wanted = {*self.metrics.asked(), objective, "fid"} if asked is None else asked
        self.measures = {measure: load_measure(measure) for measure in wanted}
        for measure in self.measures.values():
            measure.check(config, len(chosen))
        self.prompts = self._prompts(data, features, guide) if prompts is None else prompts
        refuse_unmet(asked or (), self._unmet())
        if asked is None:  # the preparation asks whether captions differ, not whether those drawn for prompts do
            self.metrics.check_objective(config.data.name, *self._unmet())
        self.extractors = self._load_extractors()
        self.source = f"{data.fingerprint} {real_split(config)}"  # of the real images
        self.setting = self._setting(chosen, cache_dir)
        self.names = {
            measure: load_measure(measure).name(self.setting)
            for measure in (possible_objectives(*self._unmet()) if asked is None else ())
        }
        self.key = self.names.get(objective, "")

    def _setting(self, chosen: np.ndarray, cache_dir: Path) -> Setting:
        """Gather what measures share; the real images, `chosen` of the split, pass through the networks."""
        compared = {row for measure in self.measures.values() for row in measure.reals}
        batch, device = self.metrics.batch, self.device
        split = self.split
        captioned = self.prompts.captions is not None and split.has_words
        return Setting(
            config=self.config,
            reals={
                row: real_features(self.extractors[row], split.images, chosen, self.source, batch, cache_dir, device)
                for row in sorted(compared)
            },
            n_real=len(chosen),
            captions=self.prompts.captions,
            judge=self.judge,
            self_judged=self.self_judged,
            real_captions=[split.captions[index][0] for index in chosen] if captioned else None,
            extract=self._features_of,
            marks={row: extractor.mark for row, extractor in self.extractors.items()},
        )

    @property
    def extractor(self) -> Extractor:
        """The protocol's network, whose features FID and others compare."""
        return self.extractors[FEATURES]

    @property
    def real(self) -> Tensor:
        """The real images' features by `extractor`, [M, D], on the CPU."""
        return self.setting.real

    def record(self) -> dict[str, str | int]:
        """Parameters of the evaluation for the run's record, besides `config.metrics`."""
        judged = (
            "none" if self.judge is None else "the guide itself" if self.self_judged else "independent of the guide"
        )
        return {
            "fid_key": self.key,
            "metrics/split": real_split(self.config),
            "metrics/prompt_split": prompt_split(self.config),
            "metrics/n_real": self.setting.n_real,
            "metrics/version": DEFINITIONS,
            "metrics/precision": self.config.precision,  # of the generator; the extractor and the judge have their own
            "metrics/extractor": ", ".join(extractor.key for extractor in self.extractors.values()) or "none",
            "metrics/judge": judged,
            "metrics/judge_key": "none" if self.judge is None else self.judge.key,
        }

    def __call__(self, generator: TextToImage, last: bool, folder: Path | None = None) -> dict[str, float]:
        """Compute metrics by name, with `self.key` always; all processes must call this and get the same values.

        Args:
            generator: the generator with the weights that `metrics.weights` names.
            last: whether the training ends here.
            folder: keeps rows, so that a killed evaluation goes on; None: nothing is kept.
        """
        conditions = self.prompts.conditions.to(self.device)
        together = chunks_of_a_pass(generator, self.device)

        def pictures(chunks: range, draw: int) -> Tensor:
            return generate(generator, conditions, chunks, self.config.seed, draw, self.context)

        with evaluating(generator):
            return self.of_chunks(pictures, last, folder, together)

    def of_chunks(
        self, pictures: Callable[[range, int], Tensor], last: bool = True, folder: Path | None = None, together: int = 1
    ) -> dict[str, float]:
        """Compute metrics by name of pictures that are made chunk by chunk; all processes must call this.

        Args:
            pictures: (numbers of chunks, draw) -> uint8 [len(chunks) * CHUNK, 3, R, R]; see `measured`.
            last: see `__call__`.
            folder: see `__call__`.
            together: the chunks that `pictures` makes at once.
        """

        def rows(read: ReadImages, draw: int) -> dict[str, Tensor]:
            kept = None if folder is None else KeptRows(folder, draw)
            return measured(partial(_drawn, pictures, draw), len(self.prompts), read, self.device, together, kept)

        return self._values(self._due(last), rows)

    def of_pictures(self, pictures: Callable[[int], Tensor]) -> dict[str, float]:
        """Compute all metrics of pictures that are all in memory.

        Args:
            pictures: returns the pictures of draw 0 or 1 for `prompts`, uint8 [N, 3, R, R].
        """

        def rows(read: ReadImages, draw: int) -> dict[str, Tensor]:
            found = read(pictures(draw).to(self.device), range(len(self.prompts)))
            return {name: row.cpu() for name, row in found.items()}

        return self._values(self._due(last=True), rows)

    def _values(self, due: list[str], rows_of: Callable[[ReadImages, int], dict[str, Tensor]]) -> dict[str, float]:
        """Compute metrics by name.

        Args:
            due: names of the measures.
            rows_of: computes rows of all pictures of draw 0 or 1, [N, ...] by name, on the CPU.
        """
        measures = [self.measures[name] for name in due]
        needed = {row for measure in measures for row in measure.rows}
        rows = rows_of(lambda images, numbers: self._rows(images, numbers, measures, needed), 0)
        if REDRAWN in needed:
            rows[REDRAWN] = rows_of(lambda images, _: self._extracted(images, {FEATURES}), 1)[FEATURES]
        values: dict[str, float] = {}
        for measure in measures if rank() == 0 else []:
            values |= measure.metrics(rows, self.setting)
        return from_first(values)

    def _prompts(self, data: PackedData, features: Features | None, guide: FrozenClip | None) -> Prompts:
        """Choose the protocol's prompts."""
        assert features is not None
        assert guide is not None
        if self.metrics.caption_list is not None:
            return listed_prompts(self.metrics, guide, self.device)
        name = prompt_split(self.config)
        return choose_prompts(getattr(data, name), getattr(features, name), self.metrics, self.config.condition)

    def _load_extractors(self) -> dict[str, Extractor]:
        """Load the network of each needed row: the protocol's, and those of single measures."""
        needed = {row for measure in self.measures.values() for row in (*measure.rows, *measure.reals)}
        extractors: dict[str, Extractor] = {}
        if needed & OF_EXTRACTOR:
            extractors[FEATURES] = load_extractor(self.metrics, self.judge, self.device)
        for measure in self.measures.values():
            extractors |= measure.extractors(self.metrics, self.device)
        return extractors

    def _due(self, last: bool) -> list[str]:
        """List the measures of a snapshot: FID, the objective, and those due whose needs are met; or the asked ones."""
        if self.asked is not None:
            return list(dict.fromkeys(self.asked))
        unmet = self._unmet()
        due = [name for name in self.metrics.due(last) if not unmet & {*NEEDS[name]}]
        return list(dict.fromkeys(["fid", self.metrics.objective or "fid", *due]))

    def _unmet(self) -> set[Need]:
        """The needs that data, judge and pictures do not meet."""
        return unmet_needs(self.config, self.prompts.captions, self.split, self.judge is not None, self.redraws)

    def _rows(self, images: Tensor, numbers: range, measures: list[Measure], needed: set[str]) -> dict[str, Tensor]:
        """Compute the rows of a chunk of images, [n, ...] by name: shared `needed` rows and the measures' own rows."""
        rows = self._extracted(images, needed) if needed & OF_EXTRACTOR else {}
        for row in needed & {*self.extractors} - {FEATURES}:
            rows[row] = in_batches(self.extractors[row], images, self.metrics.batch)["features"]
        if JUDGED in needed:
            assert self.judge is not None
            same = self.metrics.extractor == "judge" and FEATURES in rows
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


def _drawn(pictures: Callable[[range, int], Tensor], draw: int, chunks: range) -> Tensor:
    return pictures(chunks, draw)


def has_captions(config: Config, data: PackedData) -> bool:
    """Whether the prompts of a run's evaluation, and its real images, have captions as text."""
    prompted = config.metrics.caption_list is not None or getattr(data, prompt_split(config)).has_words
    return prompted and getattr(data, real_split(config)).has_words
