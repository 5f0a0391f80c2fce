"""Keep equal weights of logged models once on a local disk: all models of a sweep hold the same small CLIP."""

import filecmp
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

SHARED = "clip.safetensors"  # of a model; other models have the same


def share_weights(location: str) -> None:
    """Make a model's `SHARED` a hard link to an equal file of another model in the same store.

    Nothing changes in a store on a server, on a disk without hard links, or if no other model has an equal file.

    Args:
        location: MLflow's address of the model's files, `STORE/MODEL_ID/artifacts`.
    """
    parsed = urlparse(location)
    if parsed.scheme not in ("", "file"):
        return
    folder = Path(unquote(parsed.path) if parsed.scheme else location)
    with suppress(OSError):  # a disk without hard links, or a model that somebody deletes meanwhile
        for own in folder.rglob(SHARED):
            for other in folder.parent.parent.glob(f"*/{folder.name}/{own.relative_to(folder)}"):
                if not other.samefile(own) and filecmp.cmp(own, other, shallow=False):
                    link = own.with_suffix(".link")
                    os.link(other, link)
                    os.replace(link, own)
                    break
