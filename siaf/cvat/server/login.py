"""Who logs in where, as cvat-sdk's own command line decides it: profiles, saved servers, tokens and passwords."""

import logging
import os
from functools import partial

from cvat_sdk.core.auth import (
    CVAT_ACCESS_TOKEN_ENV_VAR,
    AuthStore,
    ClientAuthParameters,
    get_auth_factory,
    make_client_from_cli,
)
from cvat_sdk.core.client import Client, PasswordCredentials
from cvat_sdk.core.exceptions import AuthStoreError, CvatSdkException

from siaf.cvat.server import connection
from siaf.cvat.server.connection import check_is_cvat, log_in
from siaf.cvat.server.faults import patiently
from siaf.errors import InputError


def connect_as(
    *,
    host: str | None = None,
    profile: str | None = None,
    auth: str | None = None,
    user: tuple[str, str] | None = None,
    organization: str | None = None,
    insecure: bool = False,
) -> Client:
    """A client as `cvat-cli` makes one, of what a command line says.

    `auth` is "USER" or "USER:PASSWORD"; without a password it is taken from PASS, or asked for. Without `profile`,
    `auth` and `user`, CVAT_ACCESS_TOKEN counts, then, without `host` too, the default profile. Raises InputError naming
    "host", "profile", "token", "auth" or "user", ServerFault if nothing answers.
    """
    logging.getLogger("cvat_sdk").setLevel(logging.ERROR)
    if auth is not None and user is not None:
        raise InputError("give --auth or --user, not both", field="auth")
    factory = (lambda _: PasswordCredentials(*user)) if user is not None else auth and get_auth_factory(auth)
    name = user[0] if user is not None else (auth or "").partition(":")[0]
    parameters = ClientAuthParameters(
        profile=profile,
        auth=factory or None,
        server_host=host,
        insecure=insecure,
        organization=organization,
    )
    store = AuthStore()
    try:
        _check_says_enough(parameters, store)
        make = partial(make_client_from_cli, parameters, check_server_version=False, store=store)
        client: Client = patiently(lambda: log_in(make, host or "the saved server", name), connection.RETRY_DELAYS_S)
    except AuthStoreError as error:
        raise InputError(str(error), field="profile") from None
    except (CvatSdkException, ValueError) as error:
        raise InputError(f"{host!r} is not a server's address ({error})", field="host") from None
    except EOFError:
        raise InputError("there is no terminal to ask for a password: set PASS", field="auth") from None
    check_is_cvat(client)
    return client


def _check_says_enough(parameters: ClientAuthParameters, store: AuthStore) -> None:
    """Nobody is sent to localhost, or asked for the password of a user whom they did not name."""
    token = os.environ.get(CVAT_ACCESS_TOKEN_ENV_VAR)
    if parameters.profile is not None:
        return
    known = parameters.server_host is not None
    if not known and parameters.auth is None and token is None and store.get_default_profile() is not None:
        return
    if not known and store.get_default_server() is None:
        raise InputError("give --host or --profile, or set CVAT_HOST", field="host")
    if parameters.auth is None and not token:
        raise InputError(
            f"set {CVAT_ACCESS_TOKEN_ENV_VAR} to a personal access token, or give --profile or --auth", field="token"
        )
