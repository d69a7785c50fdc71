"""Which siaf this is."""

from importlib.metadata import PackageNotFoundError, version


def siaf_version() -> str:
    """The version that is installed; "0" in a checkout that is not."""
    try:
        return version("siaf-cvat")
    except PackageNotFoundError:
        return "0"
