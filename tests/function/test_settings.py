"""Settings come from the environment; a wrong one stops the start with its name."""

from pathlib import Path

import nuclio_sdk
import pytest

from function.main import init_context
from function.service import Service
from function.settings import Settings, load_settings, settings_table
from siaf.errors import SiafError
from siaf.model.config import INTERACTION


def test_they_are_read_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAF_STORE", "redis://cache:6379/3")
    monkeypatch.setenv("SIAF_SHORT_SIDE", "481")
    monkeypatch.setenv("SIAF_TOKEN", "")
    settings = load_settings()
    assert (settings.store, settings.short_side, settings.token) == ("redis://cache:6379/3", 481, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIAF_STORE", "ftp://x"),
        ("SIAF_STORE", "file:"),
        ("SIAF_SHORT_SIDE", "big"),
        ("SIAF_SHORT_SIDE", "-1"),
        ("SIAF_SESSION_TTL", "0"),
        ("SIAF_INTERACTOR_REPLY", "polygon"),
        ("SIAF_BUDGET_S", "nan"),
        ("SIAF_MAX_BUDGET_S", "inf"),
        ("SIAF_LOCK_WAIT_S", "inf"),
        ("SIAF_MAX_PIXELS", "1e6.5"),
    ],
)
def test_a_wrong_value_stops_the_start_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SiafError, match=f"^{name}: ") as caught:
        init_context(nuclio_sdk.Context())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIAF_MODEL", "siaf-x"),
        ("SIAF_WEIGHTS", "/no/such/file"),
        ("SIAF_WEIGHTS", __file__),
        ("SIAF_DEVICE", "gpu"),
        ("SIAF_STORE", "redis://127.0.0.1:1/0"),
        ("SIAF_STORE", "redis://cache:port/0"),
        ("SIAF_STORE", "redis://127.0.0.1:1/0?such=none"),
        ("SIAF_STORE", "file:/dev/null/x"),
        ("SIAF_FEATURE_FOLDER", "/dev/null/x"),
    ],
)
def test_a_value_that_cannot_be_met_does_too(
    monkeypatch: pytest.MonkeyPatch, weights: object, name: str, value: str
) -> None:
    for key, right in {"SIAF_WEIGHTS": str(weights), "SIAF_SHORT_SIDE": "65", name: value}.items():
        monkeypatch.setenv(key, right)
    with pytest.raises(SiafError, match=f"^{name}: "):
        init_context(nuclio_sdk.Context())


def test_input_sizes_are_the_models_own_unless_set(weights: Path) -> None:
    plain = Service.start(Settings(weights=weights, device="cpu", interaction_short_side=None, short_side=65)).model
    assert (plain.short_side, plain.interaction_short_side) == (65, INTERACTION["siaf-t"].short_side)


def test_the_token_does_not_show() -> None:
    assert "swordfish" not in repr(Settings(token="swordfish"))


def test_every_setting_is_in_the_table() -> None:
    table = settings_table()
    assert all(f"| `SIAF_{name.upper()}` |" in table for name in Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())
