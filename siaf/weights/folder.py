"""Where weights that were fetched lie."""

import os
from pathlib import Path


def weights_folder() -> Path:
    """Where `siaf weights` puts what it fetches: SIAF_WEIGHTS_FOLDER, or siaf in the user's cache folder."""
    if own := os.environ.get("SIAF_WEIGHTS_FOLDER"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siaf"
