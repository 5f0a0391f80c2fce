"""Make the table of active terms and their weights, which a run prints."""

from collections.abc import Sequence

from rich.table import Table

from clipgan.config import PAIRS, Config
from clipgan.models.losses.structure import Term

LEGEND = "it: image-text, ii: image-image, _het: heterologous (weight h), tau: temperature"


def weight_table(terms: Sequence[Term], config: Config) -> Table:
    """Make a row per network and space, and a column per pair and its heterologous form, as MLflow names the terms.

    The caption below the table explains the columns, and describes the targets of the contrast.
    """
    table = Table("loss of", "space", *(column for pair in PAIRS for column in (pair, f"{pair}_het")), "tau")
    table.caption = f"{LEGEND}\n{contrast_in_words(config)}" if terms else "no contrastive term: every weight is 0"
    table.caption_justify = "left"
    rows: dict[tuple[str, str], dict[str, Term]] = {}
    for active in terms:
        rows.setdefault((active.phase, active.space), {})[active.pair] = active
    for (phase, space), pairs in rows.items():
        cells = []
        for pair in PAIRS:
            term = pairs.get(pair)
            cells += ["-", "-"] if term is None else [f"{term.homologous:g}", f"{term.heterologous:g}"]
        temperatures = dict.fromkeys(
            f"{term.temperature:g}" + (", learned" if term.learned else "") for term in pairs.values()
        )
        table.add_row(phase, space, *cells, ", ".join(temperatures))
    return table


def contrast_in_words(config: Config) -> str:
    """Describe the contrast: `pairs: drop_false_negative (fraction 0.05, by image), condition: text`, and so on."""
    pairs, contrast, condition = config.pairs, config.contrast, config.condition
    numbers = {"fraction": pairs.fraction, "k": pairs.k}
    chosen = [f"{name} {value:g}" for name, value in numbers.items() if value is not None]
    by = [f"by {pairs.similarity}"] if chosen and pairs.name != "drop_false_positive" else []
    words = [f"pairs: {pairs.name}" + (f" ({', '.join(chosen + by)})" if chosen else "")]
    words.append(f"condition: {condition.name}")
    if config.loss.similarity != "cos":
        words.append(f"similarity: {config.loss.similarity}")
    if config.heterologous == "source":
        words.append("heterologous: source (each term is the mean of both directions)")
    if contrast.negatives:
        words.append(f"further targets: {contrast.negatives}")
    if config.accumulate > 1 or config.contrasted_images() < config.batch:
        words.append(f"contrast over {config.contrasted_images()} of {config.batch} images at once")
    if unread := config.unread_weights():
        words.append(f"no term has {', '.join(unread)}")
    return ", ".join(words)
