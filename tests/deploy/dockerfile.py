"""Just enough of a Dockerfile to check it and to act it out: stages, instructions, mounts, .dockerignore."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction of a stage; `stage` is empty above the first FROM."""

    stage: str
    name: str
    value: str

    def mounts(self) -> list[dict[str, str]]:
        """The --mount options of a RUN, each as its keys."""
        return [
            dict(part.split("=", 1) for part in option.split(","))
            for option in re.findall(r"--mount=(\S+)", self.value)
        ]

    def command(self) -> str:
        """What a RUN gives to the shell."""
        return re.sub(r"--mount=\S+\s+", "", self.value).strip()

    def sources(self) -> list[str]:
        """Paths of the build context that it reads."""
        if self.name == "COPY" and not self.value.startswith("--from="):
            return self.value.split()[:-1]
        return [mount["source"] for mount in self.mounts() if mount["type"] == "bind" and "from" not in mount]


def parse(path: Path) -> list[Instruction]:
    """All instructions in order, continuation lines joined, comments gone."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    stage = ""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, value = line.split(maxsplit=1)
        if name == "FROM":
            stage = value.split(" AS ")[-1]
        found.append(Instruction(stage, name, value))
    return found


def build_context(root: Path, names: Iterable[str]) -> list[str]:
    """Those of these POSIX paths that the repository's .dockerignore lets into the build."""
    rules = [rule for rule in (root / ".dockerignore").read_text().splitlines() if rule and rule[0] != "#"]
    return [name for name in names if not _ignored(name, rules)]


def _ignored(name: str, rules: list[str]) -> bool:
    """The last rule that matches the path or a folder above it decides."""
    parts = name.split("/")
    prefixes = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        tail = pattern.removeprefix("**/")
        candidates = [p.rsplit("/", 1)[-1] for p in prefixes] if tail != pattern else prefixes
        # A * of .dockerignore stays within one path segment; "*" alone therefore matches the first one.
        if any(fnmatch(c, tail) and c.count("/") == tail.count("/") for c in candidates):
            ignored = not rule.startswith("!")
    return ignored
