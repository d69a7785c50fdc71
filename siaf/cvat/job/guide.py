"""The line in a project's annotation guide that leads labelers to the studio."""

import re
from urllib.parse import urlsplit

from siaf.errors import InputError

_NAME = "Draw in the SIAF studio"
_LINE = re.compile(rf"^\[{_NAME}\]\(.*$", re.MULTILINE)


def check_link(url: str) -> None:
    """InputError naming "studio" for what is no address that a guide can hold."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s()<>]", url):
        raise InputError(f"must be an address like https://studio.example.com/, not {url!r}", field="studio")
    if parts.query or parts.fragment:
        raise InputError("a guide is read by many: give the address without what follows ? or #", field="studio")


def with_link(markdown: str, url: str) -> str:
    """A guide's text with the link; a link of earlier is replaced, all else stays as it is."""
    line = (
        f"[{_NAME}]({url}): several objects on several frames, with a preview. If it asks for the job: its number "
        "follows jobs/ in this page's address."
    )
    if _LINE.search(markdown):
        return _LINE.sub(lambda _: line, markdown, count=1)
    return f"{markdown.rstrip()}\n\n{line}\n" if markdown.strip() else f"{line}\n"
