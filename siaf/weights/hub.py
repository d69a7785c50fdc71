"""A weights file of a model hub: `hf:ORG/NAME`, through huggingface_hub."""

from pathlib import Path

from siaf.errors import InputError, SiafError

PREFIX = "hf:"
FILE = "model.safetensors"


def from_hub(name: str) -> Path:
    """The `model.safetensors` of "hf:ORG/NAME", or of "hf:ORG/NAME@REVISION", in huggingface_hub's cache.

    It is downloaded if the cache lacks it or the hub has a newer one; without a network the cached one serves.
    Raises InputError naming `model` for what the hub has not, SiafError if it cannot be reached.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise SiafError(f"{name}: needs huggingface_hub ({error}); pip install 'siaf-cvat[hub]'") from None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise InputError(f"must be hf:ORG/NAME or hf:ORG/NAME@REVISION, not {name!r}", field="model")
    try:
        return Path(hf_hub_download(repository, FILE, revision=revision or None))
    except HFValidationError as error:
        raise InputError(f"{name}: {_first_line(error)}", field="model") from None
    except LocalEntryNotFoundError:
        raise SiafError(f"{name}: the hub cannot be reached, and its {FILE} is not in the cache") from None
    except HfHubHTTPError as error:
        raise InputError(f"{name}: {_first_line(error)}", field="model") from None


def _first_line(error: Exception) -> str:
    return next((line for line in map(str.strip, str(error).splitlines()) if line), type(error).__name__)
