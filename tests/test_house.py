"""Which package may import which, and what stays private."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import siaf

ROOT = Path(__file__).parent.parent

LIBRARY = {"siaf", "siaf.frames", "siaf.model", "siaf.session"}

ALLOWED: dict[str, set[str]] = {
    "siaf": set(),  # the vocabulary that nearly everyone imports
    "siaf.frames": {"siaf"},
    "siaf.model": {"siaf", "siaf.frames"},
    "siaf.session": {"siaf", "siaf.frames", "siaf.model"},
    "siaf.interactive": LIBRARY,
    "siaf.weights": {"siaf", "siaf.model"},
    "siaf.output": {"siaf", "siaf.frames", "siaf.session"},
    "siaf.training": {*LIBRARY, "siaf.output", "siaf.weights"},
    "siaf.evaluation": {*LIBRARY, "siaf.interactive", "siaf.output", "siaf.training", "siaf.weights"},
    "siaf.bench": {*LIBRARY, "siaf.evaluation"},
    "siaf.commands": {*LIBRARY, "siaf.bench", "siaf.evaluation", "siaf.output", "siaf.training", "siaf.weights"},
    "siaf.cvat": {
        *LIBRARY,
        *("siaf.interactive", "siaf.weights"),
        *(f"siaf.cvat.{room}" for room in ("engines", "job", "rounds", "server", "storage", "writing")),
    },
    "siaf.cvat.server": {"siaf"},
    "siaf.cvat.job": {"siaf", "siaf.frames", "siaf.session", "siaf.cvat.server"},
    "siaf.cvat.writing": {"siaf", "siaf.session", "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.engines": {*LIBRARY, "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.storage": {"siaf", "siaf.session", "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.rounds": {
        *("siaf", "siaf.session"),
        *(f"siaf.cvat.{room}" for room in ("engines", "job", "server", "storage", "writing")),
    },
    "siaf.cvat.service": {
        *("siaf", "siaf.cvat"),
        *(f"siaf.cvat.{room}" for room in ("engines", "job", "rounds", "server", "storage", "writing")),
    },
    "function": {*LIBRARY, "function.calls", "function.http", "function.runtime", "function.state", "function.store"},
    "function.calls": {
        *LIBRARY,
        *("siaf.interactive", "function", "function.http", "function.runtime", "function.state", "function.store"),
    },
    "function.state": {
        *LIBRARY,
        *("siaf.interactive", "function", "function.http", "function.runtime", "function.store"),
    },
    "function.http": {"siaf", "siaf.frames", "function.runtime"},
    "function.runtime": {"siaf"},
    "function.store": {"siaf"},
}

EXCEPTIONS = {
    "siaf.__init__": {"siaf.frames", "siaf.session", "siaf.weights"},
    "siaf.commands.serve": {"function"},
    "siaf.commands.checkups": {"siaf.cvat.server"},  # siaf doctor asks CVAT too
    "siaf.bench.service": {"function", "function.http"},
    "siaf.session.adaptation": {"siaf.training"},  # the loss
    "siaf.session.views": {"siaf.training"},  # how a view differs from its frame
    "siaf.cvat.cli": {"siaf.commands", "siaf.cvat.service"},
    "function.loadtest": {"siaf.commands"},  # checks of numbers
}

TORCH_KERNEL = "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu"  # it has no public name

STATE_KEYS = {"siaf-state", "masks only", "remembered", "walked", "lanes", "objects_per_pass"}
"""Words of a state file's document that nothing else uses."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module that ships, by its dotted name."""
    for package in ("siaf", "function"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name, ast.parse(path.read_text())


MODULES = dict(sources())


def imports(tree: ast.Module) -> Iterator[str]:
    """Modules of ours that are imported anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("siaf", "function"))


def package_of(module: str) -> str:
    """The package that a module is in; a package's own name stands for its `__init__`."""
    return module if f"{module}.__init__" in MODULES else module.rpartition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_only_what_the_table_allows(module: str) -> None:
    package = package_of(module)
    allowed = {package, *ALLOWED[package], *EXCEPTIONS.get(module, ())}
    found = {package_of(name) for name in imports(MODULES[module])}
    assert found <= allowed, f"{module} imports {', '.join(sorted(found - allowed))}"


def test_no_exception_is_listed_in_vain() -> None:
    for module, extra in EXCEPTIONS.items():
        assert extra <= {package_of(name) for name in imports(MODULES[module])}, module


@pytest.mark.parametrize("module", MODULES)
def test_private_names_are_used_where_they_are_defined(module: str) -> None:
    """`something._name` only in the file that makes it: of a session, of a store, of anything."""
    tree = MODULES[module]
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_own(node)}
    own |= {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and _is_name(node.target)}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if ast.unparse(node) != TORCH_KERNEL
    }
    assert not used - own, f"{module} touches {', '.join(sorted(used - own))}"


def test_only_the_state_file_knows_its_keys() -> None:
    knowing = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in STATE_KEYS
    }
    assert knowing == {"siaf.session.state_file", "siaf.session.state_document"}


def test_the_library_exports_its_public_names_and_no_others() -> None:
    assert sorted(siaf.__all__) == ["Scribble", "Session", "load_model", "open_video"]
    assert all(hasattr(siaf, name) for name in siaf.__all__)


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)
