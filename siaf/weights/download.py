"""One file over HTTP, whose download may break off and resume where it stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from siaf.errors import SiafError

_ATTEMPTS = 4
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_PIECE = 1 << 20


class _BrokeOffError(Exception):
    """The connection ended before the file did."""


def download(
    url: str, target: Path, *, progress: Callable[[int, int | None], None] | None = None, hint: str = ""
) -> None:
    """Download to `target`, by rename. What an earlier call left of the same file is completed, not repeated.

    `progress` is called with the bytes so far and the total (None where the server does not say). `hint` is what to do
    without a network. Raises SiafError if the server cannot be reached or answers with anything but the file.
    """
    part = target.with_name(target.name + ".part")
    for attempt in range(_ATTEMPTS):
        before = _size(part)
        try:
            _continue(url, part, progress)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            _BrokeOffError,
        ) as error:
            if _size(part) > before and attempt + 1 < _ATTEMPTS:
                continue  # it moved: go on from there
            state = f"; {_size(part):,} bytes are kept, and the same command resumes from there" if _size(part) else ""
            reason = "the connection broke off" if _size(part) else "cannot be reached"
            raise SiafError(f"{urlsplit(url).netloc}: {reason}{state}. Without a network: {hint}") from error
        part.replace(target)
        _note(part).unlink(missing_ok=True)
        return


def _continue(url: str, part: Path, progress: Callable[[int, int | None], None] | None) -> None:
    have = _size(part)
    validator = _validator(part, url)
    # identity: a range of a compressed answer would be a range of something else.
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == 416:  # the file is shorter than what we have: it is another one
            part.unlink()
            raise SiafError(f"{url}: the file has changed; run the command again")
        if not answer.ok:
            raise SiafError(f"{url}: {answer.status_code} {answer.reason}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise SiafError(f"{url}: answered with a web page instead of the file")
        continued = answer.status_code == 206
        if continued and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise SiafError(f"{url}: answered with another range than asked for")
        done = have if continued else 0
        total = done + int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        _note(part).write_text(json.dumps({"url": url, "validator": _validator_of(answer)}))
        with part.open("ab" if continued else "wb") as file:
            for piece in answer.iter_content(_PIECE):
                file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
        if total is not None and done != total:
            raise _BrokeOffError


def _validator_of(answer: requests.Response) -> str | None:
    """What proves later that the file is still the same: a strong ETag, else its date."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")


def _validator(part: Path, url: str) -> str | None:
    try:
        note = json.loads(_note(part).read_text())
        return note["validator"] if note["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
