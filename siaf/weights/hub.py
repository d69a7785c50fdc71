"""A weights file of a model hub: `hf:ORG/NAME`, through huggingface_hub."""

from logging import ERROR
from pathlib import Path

from siaf.errors import InputError, SiafError

PREFIX = "hf:"
FILE = "model.safetensors"


def from_hub(name: str) -> Path:
    """The `model.safetensors` of "hf:ORG/NAME", or of "hf:ORG/NAME@REVISION", in huggingface_hub's cache.

    It is downloaded if the cache lacks it or the hub has a newer one; without a network the cached one serves.
    Raises InputError naming `model` for what the hub has not, SiafError if it cannot be reached.
    """
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        _need(name)
        raise InputError(f"must be hf:ORG/NAME or hf:ORG/NAME@REVISION, not {name!r}", field="model")
    return _get(name, repository, FILE, revision=revision or None)


def download_file(repository: str, file: str, folder: Path, *, hint: str) -> None:
    """A file of a repository of the hub into a folder; what an earlier call left of it is completed.

    Raises InputError naming `model` for what the hub has not, SiafError, with a `hint`, if it cannot be reached.
    """
    _get(repository, repository, file, folder=folder, hint=f". Without a network: {hint}")


def _need(name: str) -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise SiafError(f"{name}: needs huggingface_hub ({error}); pip install 'siaf-cvat[hub]'") from None


def _get(
    name: str, repository: str, file: str, *, revision: str | None = None, folder: Path | None = None, hint: str = ""
) -> Path:
    _need(name)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # else it tells of every attempt
    try:
        return Path(hf_hub_download(repository, file, revision=revision, local_dir=folder))
    except HFValidationError as error:
        raise InputError(f"{name}: {_first_line(error)}", field="model") from None
    except LocalEntryNotFoundError:
        place = "the cache" if folder is None else folder
        raise SiafError(f"{name}: the hub cannot be reached, and its {file} is not in {place}{hint}") from None
    except HfHubHTTPError as error:
        raise InputError(f"{name}: {_first_line(error)}", field="model") from None
    finally:
        logging.set_verbosity(level)


def _first_line(error: Exception) -> str:
    return next((line for line in map(str.strip, str(error).splitlines()) if line), type(error).__name__)
