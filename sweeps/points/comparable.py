"""Whether the values of a study's trials compare: all under one name, and measured with the same files."""

from collections import Counter
from collections.abc import Iterable, Sequence

from clipgan.base.text import listed
from sweeps.points.metric_names import RETURNED
from sweeps.points.trial_record import TrialRecord

SHOWN = 6  # trials named in a line


def why_not(records: Sequence[TrialRecord]) -> list[str]:
    """One line for each reason why the complete trials do not compare; none if they do, as far as they have told.

    Args:
        records: of a study.
    """
    complete = [record for record in records if record.state == "COMPLETE" and record.values]
    return [*_other_names(complete), *_other_files(complete)]


def cautions(records: Sequence[TrialRecord]) -> list[str]:
    """One line for each set of settings in which trials that were taken over differ from the study."""
    taken = [record for record in records if record.differs and record.values]
    groups = Counter(((record.origin or "").partition("#")[0], record.differs) for record in taken)
    return [
        f"caution: {count} from {study} had other settings, so their values may not compare: {'; '.join(differs)}"
        for (study, differs), count in groups.items()
    ]


def _other_names(records: Sequence[TrialRecord]) -> list[str]:
    """The objective's own names, if there are several: it has been measured in several ways."""
    by_name: dict[str, list[TrialRecord]] = {}
    for record in records:
        if RETURNED in record.names:
            by_name.setdefault(record.names[RETURNED], []).append(record)
    if len(by_name) < 2:
        return []
    told = ", ".join(f"{name} ({_listed(group)})" for name, group in by_name.items())
    return [f"no best point, as the trials' values are of several metrics, which do not compare: {told}"]


def _other_files(records: Sequence[TrialRecord]) -> list[str]:
    """The files that have changed between trials whose settings of files are the same."""
    by_key: dict[tuple[str, str], dict[str, list[TrialRecord]]] = {}
    for record in records:
        if record.sources is not None:
            for name, content in record.sources.digests.items():
                group = by_key.setdefault((record.sources.settings, name), {})
                group.setdefault(content, []).append(record)
    changed: dict[str, list[str]] = {}  # how trials part -> names
    for (_, name), by_content in by_key.items():
        if len(by_content) > 1:
            changed.setdefault(" / ".join(map(_listed, by_content.values())), []).append(name)
    return [
        f"no best point, as trials with equal settings had files of other content ({', '.join(dict.fromkeys(names))}),"
        f" so they do not compare: {parts}; hydra.sweeper.study_name=NAME begins a new study"
        for parts, names in changed.items()
    ]


def _listed(records: Iterable[TrialRecord]) -> str:
    labels = [str(record.label) for record in records]
    return f"trial{'s' if len(labels) > 1 else ''} {listed(labels, SHOWN)}"
