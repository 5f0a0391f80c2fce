"""Weights files of the Hugging Face hub: from its local cache, or downloaded."""

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

from clipgan.base.errors import UserError
from clipgan.base.text import first_line
from clipgan.inputs.encoders.weights import unreachable


def hub_file(repository: str, names: Sequence[str], wanted: str, key: str) -> Path:
    """Return the path of a weights file of a repository.

    Args:
        repository: `OWNER/NAME`.
        names: the names that the file may have; the first one is downloaded.
        wanted: what needs the file, for the message.
        key: the configuration key that gives the file in place of the download.

    Raises:
        UserError: the file is not cached and the hub cannot be reached; names the file to bring.
    """
    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    url = huggingface_hub.hf_hub_url(repository, names[0])
    reason = "HF_HUB_OFFLINE is set" if huggingface_hub.constants.HF_HUB_OFFLINE else unreachable(url)
    if reason is None:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, names[0]))
        except Exception as error:  # any error of the hub's client or its transport
            reason = first_line(error)
    raise UserError(
        f"{wanted}: its weights are not cached here and {url} cannot be reached ({reason}). Fetch {names[0]} of "
        f"{repository} on another machine and give the file with {key}=FILE"
    )
