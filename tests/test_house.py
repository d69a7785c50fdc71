"""The rules of the house: which package may import which, what stays private, who may change what."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import siaf
from function.state.tracked_shape import TrackedShape
from siaf.boxes import box_pixels, mask_box
from siaf.cli import parser
from siaf.cvat import auto_annotation, functions
from siaf.masks import encode_rle
from siaf.session.annotations import Annotations

ROOT = Path(__file__).parent.parent

LIBRARY = {"siaf", "siaf.frames", "siaf.model", "siaf.engines", "siaf.session"}

ALLOWED: dict[str, set[str]] = {
    "siaf": set(),  # the vocabulary that nearly everyone imports
    "siaf.frames": {"siaf"},
    "siaf.model": {"siaf", "siaf.frames"},
    "siaf.engines": {"siaf", "siaf.frames", "siaf.model"},
    "siaf.engines.sam2": {"siaf", "siaf.frames", "siaf.model"},
    "siaf.session": {"siaf", "siaf.frames", "siaf.model", "siaf.engines"},
    "siaf.interactive": LIBRARY,
    "siaf.weights": {"siaf", "siaf.model", "siaf.engines", "siaf.engines.sam2"},
    "siaf.output": {"siaf", "siaf.frames", "siaf.session"},
    "siaf.output.datasets": {"siaf", "siaf.output"},
    "siaf.output.export": {"siaf", "siaf.frames", "siaf.session", "siaf.output", "siaf.output.datasets"},
    "siaf.training": {*LIBRARY, "siaf.output", "siaf.weights"},
    "siaf.evaluation": {*LIBRARY, "siaf.interactive", "siaf.output", "siaf.training", "siaf.weights"},
    "siaf.bench": {*LIBRARY, "siaf.evaluation"},
    "siaf.commands": {
        *LIBRARY,
        *(
            "siaf.engines.sam2",
            "siaf.bench",
            "siaf.evaluation",
            "siaf.output",
            "siaf.output.export",
            "siaf.training",
            "siaf.weights",
        ),
    },
    "siaf.studio": {*LIBRARY, "siaf.output", "siaf.output.export", "siaf.weights", "function.http"},
    "siaf.cvat": {
        *LIBRARY,
        *("siaf.interactive", "siaf.output.datasets", "siaf.weights"),
        *(f"siaf.cvat.{room}" for room in ("export", "job", "rounds", "server", "sessions", "storage", "writing")),
    },
    "siaf.cvat.export": {
        *("siaf", "siaf.output.datasets"),
        *(f"siaf.cvat.{room}" for room in ("job", "rounds", "server")),
    },
    "siaf.cvat.server": {"siaf"},
    "siaf.cvat.job": {"siaf", "siaf.frames", "siaf.session", "siaf.cvat.server"},
    "siaf.cvat.writing": {"siaf", "siaf.session", "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.sessions": {*LIBRARY, "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.storage": {"siaf", "siaf.session", "siaf.cvat.job", "siaf.cvat.server"},
    "siaf.cvat.rounds": {
        *("siaf", "siaf.session"),
        *(f"siaf.cvat.{room}" for room in ("job", "server", "sessions", "storage", "writing")),
    },
    "siaf.cvat.studio": {
        *LIBRARY,
        *("siaf.cvat", "siaf.studio"),
        *(f"siaf.cvat.{room}" for room in ("job", "rounds", "server", "sessions", "storage", "writing")),
    },
    "siaf.cvat.service": {
        *("siaf", "siaf.cvat"),
        *(f"siaf.cvat.{room}" for room in ("job", "rounds", "server", "sessions", "storage", "writing")),
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
    "siaf.cvat.actions": {"siaf.commands", "siaf.cvat.service"},
    "siaf.cvat.cli": {"siaf.commands"},
    "siaf.cvat.resources": {"siaf.commands"},
    "siaf.cvat.studio.opening": {"siaf.commands"},
    "siaf.commands.studio": {"siaf.studio", "siaf.cvat.studio"},
}

SESSIONS = ("siaf.session.", "siaf.interactive.", "siaf.output.", "siaf.studio.", "siaf.cvat.", "function.")

NETWORKS = {f"siaf.model.{name}" for name in ("adapted", "fine", "gated", "interacting", "interaction", "loaded")}

ADAPTATION = {
    "siaf.session.adaptation": {"siaf.model.loaded", "siaf.model.adapted"},
    "siaf.session.examples": {"siaf.model.loaded", "siaf.model.fine"},
    "siaf.session.snapshot": {"siaf.model.loaded"},  # whose memories they are
    "siaf.session.state_file": {"siaf.model.loaded"},
    "siaf.session.state_tensors": {"siaf.model.adapted"},
}

TORCH_KERNEL = "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu"  # it has no public name

STATE_KEYS = {"siaf-state", "masks only", "remembered", "walked", "lanes", "objects_per_pass"}
"""Words of a state file's document that nothing else uses."""

CHANGE_ANNOTATIONS = {"siaf.session.annotations", "siaf.session.editing", "siaf.session.session"}

CHANGING = {
    "adopt",
    "take_over",
    "let_go",
    "forget_adopted",
    "take_round",
    "forget",
    "erase",
    "add",
    "remove",
    "discard",
    "clear",
    "pop",
    "update",
    "setdefault",
}
"""Methods of annotations, of their object table, and of dictionaries, that change them."""

REQUEST_FIELDS = {"pos_points", "neg_points", "obj_bbox", "image", "shapes", "states"}
"""Fields of CVAT's requests. The library has no arguments of these names."""

EXPORTS = {
    "siaf": {"Scribble", "Session", "load_model", "open_video"},
    "siaf.output": {"Interaction", "Results", "write_results"},
    "siaf.weights": {
        *("MODELS", "build_model", "file_digest", "load_model", "load_part", "packaged_weights", "read_weights"),
        *("save_weights", "weights_info"),
    },
    "function.store": {"Busy", "FileStore", "MemoryStore", "Store", "Unavailable", "open_store"},
}
"""What packages hand out under their own name; all else is imported from the module that has it."""


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


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(SESSIONS)])
def test_who_holds_a_session_does_not_know_which_engine_runs(module: str) -> None:
    """A session speaks to `siaf.engines.base`; only an adaptation trains siaf's own networks."""
    found = {name for name in imports(MODULES[module]) if name in NETWORKS or name.startswith("siaf.engines.")}
    assert found <= {"siaf.engines.base", *ADAPTATION.get(module, ())}


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


def test_only_the_modules_of_the_state_file_know_its_keys() -> None:
    knowing = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in STATE_KEYS
    }
    assert knowing == {f"siaf.session.state_{part}" for part in ("document", "file", "writing")}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in CHANGE_ANNOTATIONS])
def test_only_a_session_changes_annotations(module: str) -> None:
    """Whoever else is given `Annotations` reads them: no assignment, and no call of what changes them."""
    for function in ast.walk(MODULES[module]):
        if not isinstance(function, ast.FunctionDef):
            continue
        given = {a.arg for a in function.args.args if a.annotation and ast.unparse(a.annotation) == "Annotations"}
        for node in ast.walk(function):
            changed: list[ast.expr] = []
            if isinstance(node, ast.Assign | ast.Delete):
                changed = [t for t in node.targets if not isinstance(t, ast.Name)]
            elif isinstance(node, ast.AugAssign | ast.AnnAssign) and not isinstance(node.target, ast.Name):
                changed = [node.target]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
                changed = [node.func.value]
            assert not given & {_root(target) for target in changed}, f"{module}, line {node.lineno}"


def test_what_changes_annotations_is_known() -> None:
    own = {name for name, _ in inspect.getmembers(Annotations, inspect.isfunction) if not name.startswith("_")}
    assert own - {"copy"} <= CHANGING


def test_box_edges_are_exclusive_but_in_run_lengths() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:7] = True
    assert mask_box(mask) == (3, 2, 7, 5)
    assert box_pixels((3, 2, 7, 5), *mask.shape) == (slice(2, 5), slice(3, 7))
    shape = TrackedShape("rectangle", [0, 0, 1, 1], bare=False)
    shape.show(mask)
    assert shape.shown == [3, 2, 7, 5]
    assert encode_rle(mask)[-4:] == [3, 2, 6, 4]


def test_only_run_lengths_and_edges_are_made_of_a_masks_outermost_pixels() -> None:
    users = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "bounding_box"
    }
    assert users == {"siaf.masks", "siaf.boxes"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("siaf.")])
def test_the_librarys_errors_name_its_own_arguments(module: str) -> None:
    """What a request calls them is for `function` to say."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
            named = [keyword.value for keyword in node.keywords if keyword.arg == "field"]
            words = [part for value in named for part in ast.walk(value) if isinstance(part, ast.Constant)]
            assert not {str(word.value).split("[")[0] for word in words} & REQUEST_FIELDS, f"line {node.lineno}"


def test_packages_export_their_public_names_and_no_others() -> None:
    for package in (name for name in MODULES if name.endswith(".__init__")):
        tree, name = MODULES[package], package.removesuffix(".__init__")
        listed = [ast.literal_eval(node.value) for node in tree.body if _assigns(node, "__all__")]
        assert set(listed[0] if listed else ()) == EXPORTS.get(name, set()), name
        if not listed:
            assert all(isinstance(node, ast.Expr) for node in tree.body), f"{name} binds names that it does not list"
    assert all(hasattr(siaf, name) for name in siaf.__all__)


def test_public_calls_take_what_users_scripts_give_them() -> None:
    taken = {name: list(inspect.signature(getattr(siaf, name)).parameters) for name in ("load_model", "open_video")}
    assert taken["load_model"][:3] == ["name", "device", "weights"]
    assert taken["open_video"][0] == "path"
    assert list(inspect.signature(siaf.Scribble).parameters)[:2] == ["tag", "points"]
    calls = {
        "interact": ["scribbles", "references"],
        "propagate": [],
        "mask": ["frame"],
        "save": ["path"],
        "load": ["path", "model", "frames"],
    }
    for name, arguments in calls.items():
        own = [p for p in inspect.signature(getattr(siaf.Session, name)).parameters if p != "self"]
        assert own[: len(arguments)] == arguments, name


def test_the_command_has_its_public_subcommands() -> None:
    named = {"demo", "segment", "serve", "evaluate", "bench", "weights", "train", "cvat"}
    assert named <= set(parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]


def test_the_old_name_of_the_agents_functions_still_works() -> None:
    assert "create" in functions.__all__
    assert all(getattr(functions, name) is getattr(auto_annotation, name) for name in functions.__all__)


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]


def _root(node: ast.expr) -> str:
    """The variable that an attribute or item is reached from."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)
