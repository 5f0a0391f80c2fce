"""Give optuna-dashboard the pictures of a study: a copy of each trial's newest one, as an artifact of Optuna's."""

import json
import mimetypes
import uuid
from dataclasses import asdict
from pathlib import Path

from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore
from optuna.storages import RDBStorage

from clipgan.base.secrets import without_passwords
from clipgan.base.text import shown_path
from sweeps.base.optuna_internals import ARTIFACT, add_trial_notes
from sweeps.points.trial_record import TrialRecord
from sweeps.report.images import matching
from sweeps.study.lookup import name_in, open_made
from sweeps.study.storage import exclusive
from sweeps.study.stored_study import load_study, records_of

NAMESPACE = uuid.UUID("6f0b1d7e-3a0c-4f55-9d2e-0d0c0a5f7c11")  # a picture has the same id each time


def attach_pictures(storage: str, study: str | None, folder: Path, pattern: str) -> None:
    """Copy the newest picture of each trial that has ended into a folder, and note it with the trial.

    Call it again for trials that have ended since. Optuna's `upload_artifact` refuses trials
    that have ended, and an upload before the end would cost each sweep a copy that few look at.

    Args:
        storage: URL of the storage.
        study: its name; None: the only one.
        folder: of the artifacts; made if missing.
        pattern: glob pattern of the pictures in a run directory.

    Raises:
        SweepError: there is no such study.
        OSError: a picture cannot be written.
    """
    database = open_made(storage, writes=True)
    name = name_in(database, study)
    folder.mkdir(parents=True, exist_ok=True)
    store, found = FileSystemArtifactStore(folder), {}
    for record in _records(database, name):
        if not record.is_open and (picture := _newest(record, pattern)) is not None:
            path, meta = picture
            with path.open("rb") as file:
                store.write(meta.artifact_id, file)
            found[record.key] = meta
    with exclusive(database.url):
        known = {record.key: record.system for record in _records(database, name)}
        new = {key: meta for key, meta in found.items() if ARTIFACT + meta.artifact_id not in known[key]}
        add_trial_notes(database, [(key, ARTIFACT + m.artifact_id, json.dumps(asdict(m))) for key, m in new.items()])
    print(f"{len(found)} pictures of study {name} are in {shown_path(folder)}, {len(new)} of them new")
    print(f"to see them:\n    optuna-dashboard {without_passwords(storage)} --artifact-dir {shown_path(folder)}")


def _records(storage: RDBStorage, name: str) -> list[TrialRecord]:
    return records_of(load_study(storage, name))


def _newest(record: TrialRecord, pattern: str) -> tuple[Path, ArtifactMeta] | None:
    files = matching(record.run_dir, pattern)
    if not files:
        return None
    kind, encoding = mimetypes.guess_type(files[-1].name)
    identifier = str(uuid.uuid5(NAMESPACE, f"{record.key} {files[-1]}"))
    return files[-1], ArtifactMeta(identifier, files[-1].name, kind or "application/octet-stream", encoding)
