"""``slipway init``: plan what a project lacks for Slipway, and write it; no existing file is overwritten.

With ``--check``: which of the files that it wrote this version writes differently, and which the project changed.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from slipway import __version__
from slipway.adoption.additions import OneLine, add, as_yaml, newline, whole_lines
from slipway.adoption.generated import (
    IGNORED,
    RECORD,
    REQUIREMENTS,
    WORKFLOWS,
    Facts,
    Written,
    WrittenFile,
    digest,
    example_files,
    project_files,
    project_name,
    read_record,
    starter_files,
)
from slipway.code.git import call, reason_of
from slipway.counts import plural
from slipway.environments.profiles import ADAPTER
from slipway.errors import ConfigError, NotFoundError, UnavailableError

PROJECT = "dbt_project.yml"
PROFILES = "profiles.yml"
_PUBLIC = ("exports", "gold", "marts", "mart", "presentation", "reporting", "reports")
_LAYERS = ("raw", "curated", "quarantine", "serving", "reference")
_TARGETS = ("lake", "lakehouse", "iceberg", "published")
_SHARED = (
    "threads",
    "attach",
    "extensions",
    "filesystems",
    "module_paths",
    "plugins",
    "secrets",
    "settings",
    "use_credential_provider",
)


class Action(StrEnum):
    """What becomes of a file."""

    WRITTEN = "wrote"
    ADDED = "added to"
    KEPT = "kept"
    BY_HAND = "to do"


class Repository(StrEnum):
    """How a project stands with git: only what is committed can be replayed, or compared with other code."""

    THERE = "it is in a repository"
    NEW = "it is new, and gets one"
    NONE = "it is in none"
    NO_GIT = "it is in none, and git is not installed"


@dataclass(frozen=True)
class Step:
    """One file.

    Args:
        name: in the project.
        action: what becomes of it.
        detail: a few words about it.
        content: of the file afterwards; None where it stays as it is.
        shown: what is added, as a unified diff, or what is to be added by hand, as YAML.
    """

    name: str
    action: Action
    detail: str = ""
    content: bytes | None = None
    shown: str = ""


@dataclass(frozen=True)
class Adoption:
    """What makes a folder a project of Slipway's.

    Args:
        folder: of the project.
        steps: a file each, in the order in which they are written.
        target: for the first run.
        is_default: whether a run uses this target without ``--target``.
        notes: what the reader should know, a sentence each.
        query: over what the first run will have published; empty where that is not known.
        repository: of git, which a new project gets where none is around it.
    """

    folder: Path
    steps: list[Step]
    target: str
    is_default: bool
    notes: list[str] = field(default_factory=list)
    query: str = ""
    repository: Repository = Repository.THERE


def plan(folder: Path, *, with_example: bool = False, is_bare: bool = False) -> Adoption:
    """What would be done in a folder, which may be empty or not exist yet.

    Args:
        folder: of the project.
        with_example: the bundled example is wanted.
        is_bare: a new project gets no feed and no models of its own.

    Raises:
        ConfigError: a file is there that cannot be understood, or is in the way of the example.
        NotFoundError: the example is not in this installation.
    """
    folder = folder.resolve()
    around = next((one for one in folder.parents if (one / PROJECT).is_file()), None)
    is_project = (folder / PROJECT).is_file()
    if around and not is_project:
        raise ConfigError(
            f"{folder} is inside the dbt project {around}",
            "a project in a project is not found by dbt",
            f"Run slipway init {around}, or name a folder elsewhere",
        )
    record = read_record(folder) or Written()
    if with_example and is_project and not record.is_example:
        raise ConfigError(
            f"The example does not go into {folder}",
            "there is a dbt project already",
            "Name an empty folder: slipway init FOLDER --example",
        )
    if with_example and not any(name.startswith("models/") for name in example_files()):
        raise NotFoundError(
            "The example is not in this installation",
            "it was made from a repository whose example is deleted",
            "Run slipway init without --example",
        )
    if with_example or record.is_example:
        record = record.model_copy(update={"is_example": True})
        found = _Plan(folder, record, is_project=is_project).example()
    else:
        found = _Plan(folder, record, is_project=is_project).own(is_bare=is_bare)
    return replace(found, repository=_repository(folder, is_project=is_project))


def _repository(folder: Path, *, is_project: bool) -> Repository:
    if any((one / ".git").exists() for one in (folder, *folder.parents)):
        return Repository.THERE
    if shutil.which("git") is None:
        return Repository.NO_GIT
    return Repository.NONE if is_project else Repository.NEW


def apply(adoption: Adoption) -> None:
    """Write what was planned, the record last, and then make the repository.

    Raises:
        UnavailableError: git refuses to make a repository; everything else is written.
    """
    for step in adoption.steps:
        if step.content is not None:
            write(adoption.folder / step.name, step.content, is_new=step.action is Action.WRITTEN)
    if (
        adoption.repository is Repository.NEW
        and (done := call(adoption.folder, "init", "--quiet")).returncode
    ):
        raise UnavailableError(
            f"{adoption.folder} has no git repository",
            reason_of(done.stderr),
            "Run git init there; all else is written",
        )


def described(folder: Path, name: str) -> dict[str, Any]:
    """A YAML file of a folder as a mapping; empty where it is not there.

    Raises:
        ConfigError: it is not YAML, or no mapping.
    """
    path = folder / name
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML", " ".join(str(error).split()), "Correct it first") from None
    if not isinstance(found, Mapping | None):
        raise ConfigError(f"{path} is not a mapping", fix="Correct it first")
    return dict(found or {})


def facts_of(folder: Path, record: Written) -> Facts:
    """What differs between projects, of one that is there or of a new one."""
    project = described(folder, PROJECT)
    if record.is_example:
        project = project or yaml.safe_load(example_files()[PROJECT])
    name = str(project.get("name") or project_name(folder))
    places = {"landing": "seeds/landing", "module_path": "scripts"} if record.is_example else {}
    facts = Facts(name, str(project.get("profile") or name), record.target, **places)
    return replace(facts, committed=_committed(folder, facts))


def _committed(folder: Path, facts: Facts) -> str:
    """The landing area that the target has in a checkout; empty where it is elsewhere, or a variable says where."""
    outputs = (described(folder, PROFILES).get(facts.profile) or {}).get("outputs") or {}
    landing = str((outputs.get(facts.target) or {}).get("landing") or facts.landing)
    is_inside = not Path(landing).is_absolute() and not landing.startswith(("..", "~"))
    return landing if is_inside and "{{" not in landing and "://" not in landing else ""


class _Plan:
    """Steps and what is noted on the way."""

    def __init__(self, folder: Path, record: Written, *, is_project: bool) -> None:
        self._folder, self._record, self._is_project = folder, record, is_project
        self._steps: list[Step] = []
        self._notes: list[str] = []
        self._files = dict(record.files)
        self._target, self._is_default = record.target, True

    def own(self, *, is_bare: bool) -> Adoption:
        """Of a project of its own, new or there."""
        query = ""
        if not is_bare and not self._is_project and not (self._folder / "models").exists():
            for name, content in starter_files(facts_of(self._folder, self._record)).items():
                self._whole(name, content, is_ours=False)
            query = "select * from serving.daily_rides order by ridden_on, station"
        return self._finish(query)

    def example(self) -> Adoption:
        """Of the bundled example."""
        for name, content in example_files().items():
            if name != PROJECT and name not in self._files:
                self._whole(name, content)
        return self._finish("")

    def _finish(self, query: str) -> Adoption:
        writes_profiles = self._profiles()
        facts = facts_of(self._folder, self._record.model_copy(update={"target": self._target}))
        texts = project_files(facts)
        if self._record.is_example:
            texts[PROJECT] = example_files()[PROJECT]
        self._ignores(texts[IGNORED])
        self._requires(texts[REQUIREMENTS])
        if writes_profiles:
            self._whole(PROFILES, texts[PROFILES])
        for name in WORKFLOWS.values():
            self._whole(name, texts[name])
        if self._is_project and PROJECT not in self._files and not self._is_same(PROJECT, texts[PROJECT]):
            self._extend(PROJECT, _wanted(self._folder, facts), "layers of its tables")
        else:
            self._whole(PROJECT, texts[PROJECT])
        record = self._record.model_copy(
            update={"target": self._target, "files": dict(sorted(self._files.items()))}
        )
        content = (
            f"{record.model_dump_json(indent=2)}\n".encode()
        )  # a line for each file, so that branches merge
        if not self._is_same(RECORD, content):
            there = (self._folder / RECORD).exists()
            action = Action.ADDED if there else Action.WRITTEN
            self._steps.append(Step(RECORD, action, "what init wrote; commit it", content))
        return Adoption(self._folder, self._steps, self._target, self._is_default, self._notes, query)

    def _is_same(self, name: str, content: bytes) -> bool:
        path = self._folder / name
        return path.is_file() and digest(path.read_bytes()) == digest(content)

    def _whole(self, name: str, content: bytes, *, is_ours: bool = True) -> None:
        """A file that is written as a whole where there is none; one to begin with is the project's own from then on."""
        if not (self._folder / name).exists():
            self._steps.append(Step(name, Action.WRITTEN, content=content))
        elif self._is_same(name, content):
            self._steps.append(Step(name, Action.KEPT))
        else:
            self._steps.append(Step(name, Action.KEPT, "it is there already"))
            return
        known = self._files.get(name)
        if is_ours and (known is None or known.sha256 != digest(content)):
            self._files[name] = WrittenFile(version=__version__, sha256=digest(content))

    def _ignores(self, content: bytes) -> None:
        """Lines that .gitignore lacks; one with other slashes means the same here."""
        if self._is_own(IGNORED, content):
            return
        text = self._text(IGNORED)
        there = {line.strip().strip("/") for line in text.splitlines()}
        self._append(
            IGNORED, [line for line in content.decode().splitlines() if line.strip("/") not in there]
        )

    def _requires(self, content: bytes) -> None:
        """The line that requirements.txt lacks; one that allows this version is enough."""
        if self._is_own(REQUIREMENTS, content):
            return
        (line,) = content.decode().splitlines()
        found = [one for one in _requirements(self._text(REQUIREMENTS)) if one.name == Requirement(line).name]
        if not found or found[-1].specifier.contains(__version__, prereleases=True):
            self._append(REQUIREMENTS, [] if found else [line])
        else:
            detail = f"in place of {found[-1]}"
            self._steps.append(Step(REQUIREMENTS, Action.BY_HAND, detail, shown=f"{line}\n"))

    def _is_own(self, name: str, content: bytes) -> bool:
        """Whether a file is one that init writes as a whole; then it is."""
        own = not (self._folder / name).exists() or name in self._files or self._is_same(name, content)
        if own:
            self._whole(name, content)
        return own

    def _text(self, name: str) -> str:
        return (self._folder / name).read_bytes().decode("utf-8", errors="surrogateescape")

    def _append(self, name: str, lines: list[str]) -> None:
        if not lines:
            self._steps.append(Step(name, Action.KEPT, "it has what is needed"))
            return
        text = self._text(name)
        added = "".join(line + newline(text) for line in lines)
        self._add(name, text, whole_lines(text, text) + added)

    def _extend(self, name: str, wanted: Mapping[str, Any], what: str) -> None:
        """A YAML file that lacks some keys."""
        text = self._text(name)
        done = add(text, wanted)
        if done.text != text:
            self._add(name, text, done.text)
        if done.left:
            self._steps.append(Step(name, Action.BY_HAND, what, shown=as_yaml(done.left)))
        elif done.text == text:
            self._steps.append(Step(name, Action.KEPT, "it has what is needed"))

    def _add(self, name: str, before: str, after: str) -> None:
        added = plural(len(after.splitlines()) - len(before.splitlines()), "line")
        content = after.encode("utf-8", errors="surrogateescape")
        self._steps.append(Step(name, Action.ADDED, added, content, _diff(before, after, name, name)))

    def _profiles(self) -> bool:
        """The profile's target: one that is there or is added, or else profiles.yml is to be written as a whole."""
        given = os.environ.get("DBT_PROFILES_DIR")
        place = Path(given).expanduser().absolute() if given else self._folder
        if not (place / PROFILES).is_file():
            if given and place != self._folder:
                raise ConfigError(
                    f"DBT_PROFILES_DIR names {place}, which has no {PROFILES}",
                    "dbt would not read one that is written into the project",
                    "Unset it, or create that file with your profile first",
                )
            self._note_of_the_users()
            return True
        facts = facts_of(self._folder, self._record)
        if place == self._folder and (
            PROFILES in self._files or self._is_same(PROFILES, project_files(facts)[PROFILES])
        ):
            return True
        profile = described(place, PROFILES).get(facts.profile) or {}
        outputs = profile.get("outputs") or {}
        default = str(profile.get("target", "dev"))
        ours = [name for name, output in outputs.items() if (output or {}).get("type") == ADAPTER]
        shown = PROFILES if place == self._folder else str(place / PROFILES)
        if ours:
            words = re.findall(r"\w+", default)
            self._target = next((name for name in ours if name in words), ours[0])
            self._is_default = self._target in words
            self._steps.append(Step(shown, Action.KEPT, f"it has the target {self._target}"))
            return False
        self._target = next(name for name in _TARGETS if name not in outputs)
        self._is_default = not outputs
        output = _output(self._target, outputs.get(default) or {}, facts.landing)
        wanted: dict[str, Any] = {facts.profile: {"outputs": {self._target: OneLine(output)}}}
        if not outputs:
            wanted[facts.profile] = {"target": self._target, **wanted[facts.profile]}
        if place == self._folder:
            self._extend(PROFILES, wanted, f"the target {self._target}")
        else:
            self._steps.append(
                Step(shown, Action.BY_HAND, f"the target {self._target}", shown=as_yaml(wanted))
            )
        return False

    def _note_of_the_users(self) -> None:
        home = Path("~").expanduser() / ".dbt"
        profile = facts_of(self._folder, self._record).profile
        if self._is_project and profile in described(home, PROFILES):
            self._notes.append(
                f"The profile {profile} of {home / PROFILES} is not read in this project any more: dbt prefers the project's own profiles.yml. "
                "Copy into it what your models need, such as extensions, secrets and attached databases."
            )


def _output(target: str, other: Mapping[str, Any], landing: str) -> dict[str, Any]:
    """A target like one of dbt-duckdb's, apart from where its tables are."""
    shared = {key: value for key, value in other.items() if key in _SHARED}
    if "attach" in shared:
        shared["attach"] = [{"path": ":memory:", "alias": target}, *shared["attach"]]
    return {"type": ADAPTER, "database": target, **shared, "landing": landing}


def _wanted(folder: Path, facts: Facts) -> dict[str, Any]:
    """What a dbt_project.yml needs: a profile, and a layer for every table."""
    project = described(folder, PROJECT)
    wanted: dict[str, Any] = {} if project.get("profile") else {"profile": facts.profile}
    wanted["flags"] = {"skip_nodes_if_on_run_start_fails": True}
    there = project.get("models") or {}
    own = there.get(facts.name) or {}
    places = [folder / name for name in project.get("model-paths") or ["models"]]
    models = sorted(path for place in places if place.is_dir() for path in place.iterdir())
    # a layer for every folder of models, and no model outside of them
    given = [
        path.is_dir() and _schema(own.get(path.name))
        for path in models
        if path.is_dir() or path.suffix in (".sql", ".py")
    ]
    is_given = bool(given) and all(given)
    if _schema(own) in (None, "curated") and not _schema(there) and not is_given:
        wanted["models"] = {facts.name: {"+schema": "curated", **dict(_layers(models))}}
    for kind, paths, endings in (
        ("seeds", "seed-paths", (".csv",)),
        ("snapshots", "snapshot-paths", (".sql", ".yml", ".yaml")),
    ):
        there = project.get(kind) or {}
        # dbt warns of a configuration that nothing uses
        used = any(
            path.suffix in endings
            for name in project.get(paths) or [kind]
            for path in (folder / name).rglob("*")
        )
        if used and not _schema(there.get(facts.name)) and not _schema(there):
            wanted[kind] = {facts.name: {"+schema": "reference"}}
    return wanted


def _layers(models: list[Path]) -> Iterator[tuple[str, dict[str, str]]]:
    """Folders of models whose names say which layer they are."""
    for path in models:
        layer = "serving" if path.name in _PUBLIC else path.name if path.name in _LAYERS else None
        if path.is_dir() and layer:
            yield path.name, {"+schema": layer}


def _schema(config: object) -> object:
    """The layer that a folder's configuration gives; None where it gives none."""
    return config.get("+schema", config.get("schema")) if isinstance(config, Mapping) else None


def _requirements(text: str) -> Iterator[Requirement]:
    for line in text.splitlines():
        try:
            yield Requirement(line.partition("#")[0].partition(" --hash")[0].strip().rstrip("\\"))
        except InvalidRequirement:
            continue


def write(path: Path, content: bytes, *, is_new: bool) -> None:
    """Write a file as a whole or not at all; a new one only where there is still none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.resolve()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        made = Path(stream.name)
        stream.write(content)
    try:
        if is_new and path.exists():
            raise FileExistsError(errno.EEXIST, "It was made meanwhile", str(path))
        if is_new:
            made.chmod(0o666 & ~_mask())
        else:
            shutil.copymode(path, made)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _mask() -> int:
    """The process's mask for new files, which cannot be read without setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


class State(StrEnum):
    """How a file differs from what this version writes."""

    SAME = "same"
    YOURS = "you changed it"
    VERSION = "this version writes it differently"
    BOTH = "you changed it, and this version writes it differently"
    MISSING = "it is not there"
    LACKING = "it lacks lines"


@dataclass(frozen=True)
class Difference:
    """A file that init wrote, or adds lines to.

    Args:
        name: in the project.
        state: how it differs.
        version: of Slipway that wrote it; empty where none did.
        diff: from what is there to what this version writes.
    """

    name: str
    state: State
    version: str = ""
    diff: str = ""

    @property
    def is_due(self) -> bool:
        """Whether there is something to do about it."""
        return self.state not in (State.SAME, State.YOURS)


def check(folder: Path) -> list[Difference]:
    """Every file that init writes or adds to, in order of their names.

    Raises:
        NotFoundError: init has written nothing in this folder.
        DamagedError: the record of what it wrote is damaged.
    """
    folder = folder.resolve()
    record = read_record(folder)
    if record is None:
        raise NotFoundError(
            f"{folder / RECORD} is not there",
            "slipway init has written nothing in this folder",
            "Run slipway init",
        )
    found = [*_of_steps(folder), *_of_record(folder, record)]
    return sorted(found, key=lambda one: one.name)


def _of_steps(folder: Path) -> Iterator[Difference]:
    """What another ``slipway init`` would write, add or ask for."""
    for step in plan(folder).steps:
        if step.name == RECORD or step.action is Action.KEPT:
            continue
        yield Difference(
            step.name,
            State.MISSING if step.action is Action.WRITTEN else State.LACKING,
            diff=step.shown,
        )


def _of_record(folder: Path, record: Written) -> Iterator[Difference]:
    """Files that were written as a whole, and are still there."""
    now = project_files(facts_of(folder, record))
    if record.is_example:
        now |= example_files()
    for name, was in record.files.items():
        path = folder / name
        if not path.is_file() or name not in now:
            continue
        here = path.read_bytes()
        state = _state(digest(here), was.sha256, digest(now[name]))
        diff = (
            _diff(_text(here), _text(now[name]), name, f"{name} of this version")
            if state in (State.VERSION, State.BOTH)
            else ""
        )
        yield Difference(name, state, was.version, diff)


def _state(here: str, was: str, now: str) -> State:
    if here == now:
        return State.SAME
    if here == was:
        return State.VERSION
    return State.YOURS if was == now else State.BOTH


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _diff(before: str, after: str, name: str, other: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, other, lineterm="")
    return "".join(f"{line}\n" for line in lines)
