"""Environments from profiles.yml: the same file, Jinja and ``env_var`` that dbt reads, without loading dbt.

Text in which only ``env_var`` of plain names is called, as in nearly all profiles, is rendered here: Jinja would make the same of it, and takes
longer to load than a query to run. Other expressions with ``env_var`` are rendered without loading dbt itself, which takes seconds. For all others
dbt's renderer of profiles is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway.environments.environment import (
    Environment,
    Mode,
    check_places,
    check_ports,
    is_rest,
    local_catalog,
)
from slipway.errors import ConfigError, NotFoundError
from slipway.names import Kind, nearest, shown, why_not
from slipway.secrets import remember, secrets_of, without_user
from slipway.settings import Settings, variable

_JINJA = re.compile(r"{[{%#]")
_OWN = frozenset({"env_var"})
_PLAIN = r"""'[^'"\\\r\n{}]*'|"[^'"\\\r\n{}]*\""""
_CALL = rf"\{{\{{ *env_var\( *({_PLAIN}) *(?:, *({_PLAIN}) *)?\) *\}}\}}"
_PLAIN_CALL = re.compile(_CALL)
_PLAIN_CALLS = re.compile(rf"(?:[^{{}}\r\n]|{_CALL})+")


def render(value: Any, where: str = "profiles.yml") -> Any:
    """A value of a profile with its Jinja rendered as dbt renders it, in lists and mappings, too.

    Raises:
        ConfigError: an environment variable is not set, or the text is not Jinja.
    """
    if isinstance(value, dict):
        return {key: render(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, where) for item in value]
    if isinstance(value, str) and _JINJA.search(value):
        return _rendered(value, where)
    return value


def _rendered(text: str, where: str) -> Any:
    def env_var(name: str, default: Any = None) -> Any:
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{where} needs {name}", "the environment variable is not set", f"Set it: export {name}=…"
            )
        return found

    if _PLAIN_CALLS.fullmatch(text):
        return _PLAIN_CALL.sub(lambda call: env_var(*(given[1:-1] for given in call.groups() if given)), text)
    import jinja2.meta
    from dbt_common.clients.jinja import get_environment, get_template, render_template
    from dbt_common.exceptions import DbtBaseException

    try:
        names = jinja2.meta.find_undeclared_variables(get_environment(native=True).parse(text))
        if names <= _OWN:
            given = {"env_var": env_var}
            return render_template(get_template(text, given, native=True), given)
        return _by_dbt(text)
    except (jinja2.TemplateError, DbtBaseException) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(
            f"{where} has {text}", " ".join(str(error).split()), "Correct it as dbt's Jinja has it"
        ) from None


def _by_dbt(text: str) -> Any:
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import get_invocation_context, set_invocation_context

    try:
        get_invocation_context()
    except LookupError:
        set_invocation_context(os.environ)
    return ProfileRenderer({}).render_value(text)


ADAPTER = "slipway"
"""The ``type`` of a target: the dbt adapter that brings Slipway's macros."""
PLUGIN = "slipway.dbt.plugin"
_SETTINGS = ("catalog", "home", "landing", "local", "mode", "warehouse")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def find_project(start: Path | None = None) -> Path:
    """The dbt project that contains a folder.

    Raises:
        NotFoundError: no dbt_project.yml in it or above it.
    """
    origin = (start or Path(os.environ.get("DBT_PROJECT_DIR") or ".")).resolve()
    for folder in (origin, *origin.parents):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise NotFoundError(
        f"No dbt project at {origin}",
        "there is no dbt_project.yml here or above",
        "Change into the project's folder",
    )


class Profile:
    """The project's profile: its targets as environments.

    Args:
        project: folder of dbt_project.yml.
        profiles_dir: folder of profiles.yml; default the project's.

    ``project_name`` is that of dbt_project.yml, ``vars`` are the variables that it declares.

    Raises:
        ConfigError: the file is missing or not a profile.
    """

    def __init__(self, project: Path, profiles_dir: Path | None = None) -> None:
        self.project = project
        folder = profiles_dir or Path(os.environ.get("DBT_PROFILES_DIR") or project)
        described = _read(project / "dbt_project.yml")
        name = render(described.get("profile", ""), "dbt_project.yml")
        declared = described.get("vars") or {}
        self.project_name = str(described.get("name") or "")
        self.vars: dict[str, Any] = {**declared, **(declared.get(described.get("name")) or {})}
        profiles = _read(folder / "profiles.yml")
        if name not in profiles:
            raise ConfigError(
                f"{folder / 'profiles.yml'} has no profile {name}", fix="Name it in dbt_project.yml"
            )
        self._profile: dict[str, Any] = profiles[name] or {}

    @property
    def default_target(self) -> str:
        """The target used when none is named."""
        return str(render(os.environ.get("DBT_TARGET") or self._profile.get("target", "dev")))

    def is_default(self, target: str) -> bool:
        """Whether dbt takes a target if none is named; without a default of the profile, dbt has another than ``default_target``."""
        named = os.environ.get("DBT_TARGET") or self._profile.get("target")
        return bool(named) and target == self.default_target

    @property
    def targets(self) -> list[str]:
        """Names of all targets."""
        return list(self._profile.get("outputs", {}))

    def environment(self, target: str | None = None) -> Environment:
        """The environment of a target.

        Raises:
            ConfigError: no such target, or it lacks what it needs.
        """
        target = target or self.default_target
        outputs = self._profile.get("outputs", {})
        if target not in outputs:
            raise ConfigError(f"No target {target} in profiles.yml", fix=f"Use one of {', '.join(outputs)}")
        if why := why_not(Kind.TARGET, target):
            raise ConfigError(
                f"Target {shown(target)} of profiles.yml cannot have this name",
                why,
                f"Call it {nearest(Kind.TARGET, target)}",
            )
        return self._environment(target, render(_settings(outputs[target] or {}, target)))

    def settings(self, target: str | None = None) -> dict[str, Any]:
        """DuckDB's ``settings`` of a target."""
        output = self._profile.get("outputs", {}).get(target or self.default_target, {})
        return dict(render(output.get("settings") or {}))

    def _environment(self, name: str, config: Mapping[str, Any]) -> Environment:
        given = Settings.read()
        home = Path(self._place(given.home, config.get("home") or ".slipway"))
        if home.exists() and not home.is_dir():
            raise ConfigError(
                f"{home} is not a folder", "it is to hold what runs leave", "Choose another SLIPWAY_HOME"
            )
        if _ESCAPE.search(str(home)):
            raise ConfigError(
                f"{home} has % and two digits in its name",
                "the catalog's URI would lead elsewhere",
                "Choose another folder with SLIPWAY_HOME",
            )
        mode = _mode(name, str(config.get("mode", Mode.EXPLORATORY)))
        catalog = {str(k): str(v) for k, v in (config.get("catalog") or {}).items() if v not in (None, "")}
        catalog |= _pyiceberg_config(name)
        warehouse = self._place(given.warehouse, config.get("warehouse") or catalog.get("warehouse"))
        local = mode is Mode.EXPLORATORY or _is_local(name, config.get("local"))
        has_catalog = catalog.get("uri", catalog.get("type"))
        if not local and not (warehouse and has_catalog):
            lacks = [
                *([] if warehouse else [own_warehouse(name, catalog)]),
                *([] if has_catalog else [f"PYICEBERG_CATALOG__{name.upper()}__URI"]),
            ]
            raise ConfigError(
                f"Target {name} has no {'warehouse' if not warehouse else 'catalog'}",
                "it is not kept on this machine",
                f"Set {' and '.join(lacks)} (README, Settings)",
            )
        properties = {**(local_catalog(home / name) if local else {}), **catalog}
        root = (warehouse or properties["warehouse"]).rstrip("/")
        root = root if "://" in root else f"file://{root}"
        if any(sign in root for sign in "#?"):
            raise ConfigError(
                f"Warehouse {root} has # or ? in its name",
                "they end a path in the locations of Iceberg tables",
                f"Choose another folder with SLIPWAY_HOME or {own_warehouse(name, catalog)}",
            )
        landing = self._place(given.landing, config.get("landing") or "seeds/landing")
        if not is_rest(properties):
            properties["warehouse"] = root
        elif "warehouse" not in catalog:  # such a server has names of its own for its warehouses
            properties.pop("warehouse", None)
        if properties.get("type") == "glue" or any(place.startswith("s3") for place in (root, landing)):
            properties = {**_standard_aws(), **properties}
        check_places(name, {"SLIPWAY_HOME": str(home), "SLIPWAY_WAREHOUSE": root, "SLIPWAY_LANDING": landing})
        check_ports(name, properties)
        # the store takes keys, and clients name it in their errors
        for key in ("s3.endpoint", "glue.endpoint"):
            if key in properties:
                properties[key] = without_user(properties[key])
        remember([*secrets_of(catalog), *secrets_of(properties), *_keys_of_the_shell()])
        return Environment(
            name=name,
            mode=mode,
            warehouse=root,
            catalog_properties=properties,
            landing=landing.rstrip("/"),
            home=home,
            publishes_from_dbt=local,
            project=self.project,
        )

    def _place(self, given: str | None, otherwise: str | None) -> str:
        """A path or URI from a variable, else from the profile; empty when there is neither.

        A relative path in a variable is relative to the current folder, as for any command; one in the
        profile, and a default, to the project.
        """
        text = str(given or otherwise or "")
        if not text or "://" in text:
            return text
        path = Path(text).expanduser()
        return os.path.normpath((Path.cwd() if given else self.project) / path)


def own_warehouse(target: str, catalog: Mapping[str, str]) -> str:
    """What gives one target its warehouse, as a message names it: SLIPWAY_WAREHOUSE counts for every target of a shell.

    Args:
        target: its name.
        catalog: properties of its catalog.
    """
    if is_rest(catalog):  # its property `warehouse` is a name that the server gives
        return f"warehouse of the target {target} in profiles.yml"
    return f"PYICEBERG_CATALOG__{target.upper()}__WAREHOUSE"


def _settings(output: Mapping[str, Any], target: str) -> dict[str, Any]:
    """What a target says about its environment: keys of its own, or of the plugin's ``config``.

    Raises:
        ConfigError: the target is none of Slipway's, or says something twice.
    """
    if (kind := render(output.get("type"))) != ADAPTER:
        raise ConfigError(
            f"Target {target} has type: {kind}",
            "dbt finds Slipway's macros by the type of the target",
            f"Write type: {ADAPTER} in profiles.yml; DuckDB's settings stay as they are",
        )
    if (database := render(output.get("database"))) != target:
        raise ConfigError(
            f"Target {target} has database: {database or 'none'}",
            "it is the name by which relations find their environment",
            f"Write database: {target} in profiles.yml",
        )
    plugins = [plugin for plugin in output.get("plugins") or [] if plugin.get("module") == PLUGIN]
    config = dict(plugins[0].get("config") or {}) if plugins else {}
    own = {key: output[key] for key in _SETTINGS if key in output}
    if twice := sorted(own.keys() & config.keys()):
        raise ConfigError(
            f"Target {target} has {', '.join(twice)} twice", fix="Delete it from the plugin's config"
        )
    return {**config, **own}


def _pyiceberg_config(name: str) -> dict[str, str]:
    """What pyiceberg itself would read for this catalog from its file and PYICEBERG_CATALOG__*."""
    in_file = any((folder / ".pyiceberg.yaml").is_file() for folder in (_home(), Path.cwd()))
    if not in_file and not any(key.startswith("PYICEBERG_") for key in os.environ):
        return {}
    from pyiceberg.utils.config import Config

    found = Config().get_catalog_config(name) or {}
    return {str(key): str(value) for key, value in found.items()}


def _standard_aws() -> dict[str, str]:
    """The standard AWS variables that boto3 and pyiceberg do not read by themselves; keys stay with the AWS chain."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return {
        name: value
        for name, value in (("s3.endpoint", endpoint), ("s3.region", region), ("client.region", region))
        if value
    }


def _keys_of_the_shell() -> list[str]:
    """Secrets among variables: those that AWS programs and DuckDB read, which errors of theirs may quote, and those of dbt."""
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return [
        value
        for name, value in os.environ.items()
        if value and (name in names or name.startswith("DBT_ENV_SECRET"))
    ]


def _is_local(name: str, given: Any) -> bool:
    if isinstance(given, str) and given.strip().lower() in ("true", "false"):
        return given.strip().lower() == "true"
    if given not in (None, True, False, ""):
        raise ConfigError(f"Target {name} has local: {given}", fix="Write true or false")
    return bool(given)


def _home() -> Path:
    """The user's home, or the current folder for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return Path.cwd()


def _mode(name: str, text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise ConfigError(f"Target {name} has mode {text}", fix=f"Use {', '.join(Mode)}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # as dbt reads it
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing", fix="Run in the project or set DBT_PROFILES_DIR") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML", " ".join(str(error).split())) from None
    return loaded if isinstance(loaded, dict) else {}


_PREFIXES = ("AWS_", "DBT_", "DUCKDB_", "LC_", "LD_", "PYICEBERG_", "PYTHON", variable(""))
_NAMES = ("HOME", "LANG", "LANGUAGE", "PATH", "TZ")
# whether to wait and to look, and what is recorded
_WITHOUT = frozenset(
    map(variable, ("wait", "image_digest", "always_start_dbt", "debug", "signing_key", "builder"))
)
_FILES = (".pyiceberg.yaml", ".config/pyiceberg/.pyiceberg.yaml")


def digest_of_settings(
    environment: Environment, profiles_dir: Path, names: Iterable[str], variables: Mapping[str, str]
) -> str:
    """A digest of where a run reads and writes, and of every variable that may say how; ``names`` are those that the project's code reads."""
    asked = {name: variables.get(name) for name in [*_NAMES, *names]}
    given = {
        name: value
        for name, value in variables.items()
        if name.startswith(_PREFIXES) and name not in _WITHOUT
    }
    described = [
        environment.name,
        environment.mode,
        environment.warehouse,
        sorted(environment.catalog_properties.items()),
        environment.landing,
        str(environment.home),
        environment.publishes_from_dbt,
        str(profiles_dir),
        sorted({**asked, **given}.items()),
        [_content(folder / name) for folder in (Path.home(), Path.cwd()) for name in _FILES],
        _content(profiles_dir / "profiles.yml"),
    ]
    return hashlib.sha256(json.dumps(described, default=str).encode("utf-8", "surrogatepass")).hexdigest()


def _content(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
