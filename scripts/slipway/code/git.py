r"""Git: what it knows of a project, what a commit holds, and work trees with another version of the code.

Every command runs without the caller's ``GIT_*`` variables: they could name another repository, index or work tree.

Git compares a work tree with its index, and how it does that can be configured: ignored files, ``assume-unchanged``,
``skip-worktree``, filters and line ends all make a changed file look unchanged. Here the digest of a file's bytes is compared
with that of the commit's blob (Git, "Git Objects": the digest of ``blob <size>\0<content>``).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from slipway.errors import NotFoundError, UnavailableError

_MAIN = ("origin/main", "origin/master", "main", "master")
# No program that the repository's configuration names is run to say what changed; no line end is converted.
_PLAIN = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.hooksPath=/dev/null")
_AS_COMMITTED = ("-c", "core.autocrlf=false", "-c", "core.sparseCheckout=false")


def resolve(project: Path, ref: str) -> str:
    """The commit that a ref names.

    Raises:
        NotFoundError: there is no such commit, or no repository.
    """
    if (found := _git(project, "rev-parse", "--git-dir")).returncode:
        raise NotFoundError(
            f"{project} has no git repository that can be read",
            reason_of(found.stderr),
            "Other versions of the code come from git: make a repository with git init and commit, or repair it",
        )
    done = _git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if done.returncode:
        raise NotFoundError(
            f"No commit {ref}", "git does not know it", "Fetch it or name another with --base"
        )
    return done.stdout.strip()


def default_base(project: Path) -> tuple[str, str]:
    """What a change is compared with when nothing is named: the commit, and where it is.

    That is where this branch was cut: of the places where it left a main branch, local or remote, the nearest. Without a commit
    of its own, and on a main branch itself, it is the last commit when there are uncommitted changes.
    """
    head = resolve(project, "HEAD")
    changed = bool(_git(project, "status", "--porcelain", "--untracked-files=normal").stdout.strip())
    branch = _git(project, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    cut: list[tuple[int, str, str]] = []
    for name in () if branch in _MAIN else _MAIN:
        done = _git(project, "merge-base", "HEAD", name)
        found = done.stdout.strip()
        if done.returncode == 0 and (found != head or changed):
            since = _git(project, "rev-list", "--count", f"{found}..HEAD").stdout.strip()
            cut.append((int(since or 0), found, f"where this branch left {name}"))
    if cut:
        return min(cut, key=lambda item: item[0])[1:]
    if changed:
        return head, "the last commit"
    return resolve(project, "HEAD~1"), "the commit before the last"


@dataclass(frozen=True)
class History:
    """A commit and those before it, as far as this clone has them.

    Args:
        commits: their ids, the commit itself first.
        shallow: the clone does not have all of them.
    """

    commits: Sequence[str]
    shallow: bool


def history(project: Path, commit: str) -> History:
    """The history of a commit.

    Raises:
        NotFoundError: git cannot read it.
    """
    commits = _asked(project, "rev-list", "--topo-order", commit).decode().split()
    shallow = _git(project, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    return History(commits, shallow)


def why_not_on(project: Path, commit: str, branch: str) -> str:
    """Why a commit is not on a branch, as this clone knows the branch of the remote, or else its own; empty when it is."""
    for name in (f"origin/{branch}", branch):
        if _git(project, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode:
            continue
        done = _git(project, "merge-base", "--is-ancestor", commit, name)
        if done.returncode == 0:
            return ""
        if done.returncode == 1:
            return f"commit {commit[:12]} is not on {name}"
        return f"this clone does not know commit {commit[:12]}: {reason_of(done.stderr)}"
    return f"this clone has no branch {branch}"


def top_level(project: Path) -> Path | None:
    """Folder of the repository that a project is in, None where there is none."""
    done = _git(project, "rev-parse", "--show-toplevel")
    return Path(done.stdout.strip()).resolve() if done.returncode == 0 else None


def files_at(project: Path, commit: str, place: Path) -> dict[str, bytes]:
    """What files held at a commit.

    Args:
        project: a folder in the repository.
        commit: as ``resolve`` gives it.
        place: a file, or a folder whose own files are meant; it may be gone by now.

    Returns:
        Contents by name, without folders; empty where the place did not exist.

    Raises:
        NotFoundError: the place is outside of the repository.
        UnavailableError: git cannot read the commit.
    """
    top = top_level(project)
    path = place.resolve()
    if top is None or not path.is_relative_to(top):
        raise NotFoundError(
            f"{place} is in no commit",
            f"it is outside of the repository {top or project}",
            "Name a file or folder of it",
        )
    relative = path.relative_to(top).as_posix()
    listed: list[bytes] = []
    for tree in (relative, f"{relative}/") if relative != "." else ("",):
        listed += _listed(top, commit, tree)
    found: dict[str, bytes] = {}
    for entry in listed:
        about, _, name = entry.partition(b"\t")
        kind, digest = about.split()[1:3]
        if kind == b"blob":
            found[Path(os.fsdecode(name)).name] = _asked(top, "cat-file", "blob", digest.decode())
    return found


def _listed(top: Path, commit: str, tree: str) -> list[bytes]:
    chosen = ("--", tree) if tree else ()
    return [one for one in _asked(top, "ls-tree", "-z", "--full-tree", commit, *chosen).split(b"\0") if one]


@contextmanager
def worktree(project: Path, commit: str, folder: Path) -> Iterator[Path]:
    """The project as it was at a commit, in a folder that is removed afterwards.

    Yields:
        The project's folder inside the work tree.

    Raises:
        UnavailableError: git refuses to make the work tree.
    """
    top = Path(_git(project, "rev-parse", "--show-toplevel").stdout.strip())
    done = _git(project, *_AS_COMMITTED, "worktree", "add", "--detach", "--force", str(folder), commit)
    if done.returncode:
        raise UnavailableError(
            f"No work tree at {commit[:12]}", reason_of(done.stderr), "Run git worktree prune"
        )
    try:
        yield folder / project.resolve().relative_to(top.resolve())
    finally:
        _git(project, "worktree", "remove", "--force", str(folder))
        _git(project, "worktree", "prune")  # also those of processes that were killed


def reason_of(stderr: str | bytes) -> str:
    """What git said of a failure, on one line and without its heading."""
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    return " ".join(text.split()).removeprefix("fatal: ").removeprefix("error: ") or "git gives no reason"


def call(project: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run one git command in a project's folder; raises UnavailableError where git cannot be started."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # messages in English; objects as they are, not as git replace shows them; the index is not refreshed
    variables |= {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", *_PLAIN, "-C", str(project), *arguments]
    try:
        return subprocess.run(command, env=variables, capture_output=True, check=False)
    except FileNotFoundError:
        raise UnavailableError(
            "Git is not installed", "there is no program git on PATH", "Install git, or set PATH"
        ) from None
    except OSError as error:
        raise UnavailableError("Git cannot be started", error.strerror or str(error), "Check PATH") from None


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = call(project, *arguments)
    texts = (part.decode("utf-8", "surrogateescape") for part in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)


def of_version(project: Path, version: Path, folder: Path) -> Path:
    """A folder that belongs to a project, in the work tree of another version of it; elsewhere it is the same for both."""
    top, other = top_level(project), top_level(version)
    if top is None or other is None or not folder.resolve().is_relative_to(top):
        return folder.resolve()
    return other / folder.resolve().relative_to(top)


_LINK, _SUBMODULE = "120000", "160000"
_MOST_LINKS = 40  # as Linux follows in one path
# Git LFS specification, "The Pointer"
_LARGE_FILE = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n"
)
_POINTER_AT_MOST = 200  # bytes: a version, a digest and a size

Finding = tuple[str, str]
"""A path relative to the repository, or absolute where it is outside, and what is the matter with it."""


@dataclass(frozen=True)
class Commit:
    """What a commit holds.

    Args:
        id: of the commit.
        branch: the branch that is checked out, None for none.
        top: folder of the work tree, without links.
        algorithm: of object ids, as hashlib names it.
        entries: path relative to ``top`` to mode and object id.
        small: ids of blobs that are small enough to be pointers to large files.
    """

    id: str
    branch: str | None
    top: Path
    algorithm: str
    entries: dict[str, tuple[str, str]]
    small: set[str]

    def finding(self, path: Path) -> Finding | None:
        """What is the matter with a file that was read by this absolute path, links in it included; None where the commit holds it as it is."""
        asked = path = self._inside(path)
        for _ in range(_MOST_LINKS):
            if not path.is_relative_to(self.top):
                why = self._why_outside(path) if path == asked else "a link leads out of the repository"
                return self._shown(asked), why
            link = self._first_link(path)
            if link is None:
                why = self._why_not(path)
                return (self._shown(asked), why) if why else None
            text = str(link.readlink())
            mode, found = self.entries.get(self._name(link), ("", ""))
            if (mode, found) != (_LINK, self._blob(os.fsencode(text))):
                return self._shown(link), "a link that the commit does not hold"
            path = Path(os.path.normpath(link.parent / text)) / path.relative_to(link)
        return self._shown(asked), "links lead in a circle"

    def changed(self, below: Path) -> Iterator[Finding]:
        """Files below a folder that the commit holds and that are not here as it holds them."""
        prefix = self._name(below)
        for name, (mode, found) in self.entries.items():
            if prefix != "." and not name.startswith(f"{prefix}/"):
                continue
            path = self.top / name
            if mode == _LINK and path.is_symlink():
                if self._blob(os.fsencode(path.readlink())) != found:
                    yield name, "a link to another place than in the commit"
            elif mode != _SUBMODULE and (why := self._why_not(path)):
                yield name, why

    def holds_any(self, folder: Path) -> bool:
        """Whether the commit holds a file below a folder."""
        if not folder.is_relative_to(self.top):
            return False
        prefix = f"{self._name(folder)}/"
        return any(name.startswith(prefix) for name in self.entries)

    def _why_not(self, path: Path) -> str:
        name = self._name(path)
        mode, found = self.entries.get(name, ("", ""))
        if not mode:
            around = (self.entries.get(str(parent), ("", ""))[0] for parent in Path(name).parents)
            inside = _SUBMODULE in around
            return "in a submodule, of which the commit holds no file" if inside else "not in the commit"
        if not path.is_file() or path.is_symlink():
            return (
                "not here as a file" if path.exists() or path.is_symlink() else "in the commit and not here"
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if self._blob(content) == found:
            return ""
        return self._other(content, found)

    def _why_outside(self, path: Path) -> str:
        tail = "/".join(("", *path.parts[-2:]))
        own = next((name for name in sorted(self.entries) if f"/{name}".endswith(tail)), None)
        if path.suffix == ".py" and own:
            return (
                f"outside of the repository, whose {own} is not imported: the Python environment has another checkout"
                " installed; install this one, or put its folder into PYTHONPATH"
            )
        return "outside of the repository"

    def _other(self, content: bytes, found: str) -> str:
        """Why content is not that of a blob; empty where the blob is a pointer of git-lfs to this very content."""
        if self._blob(content.replace(b"\r\n", b"\n")) == found:
            return "with other line ends than in the commit: check it out with core.autocrlf=false and without eol=crlf"
        if found in self.small:
            pointer = _LARGE_FILE.match(call(self.top, "cat-file", "blob", found).stdout)
            if pointer and hashlib.sha256(content).hexdigest() == pointer[1].decode():
                return ""
        return "not as the commit holds it"

    def _inside(self, path: Path) -> Path:
        """The same path, where a link that is not of the repository leads to it, from the work tree's top on."""
        if path.is_relative_to(self.top):
            return path
        around = [part for part in (path, *path.parents) if part.resolve().is_relative_to(self.top)]
        return around[-1].resolve() / path.relative_to(around[-1]) if around else path

    def _first_link(self, path: Path) -> Path | None:
        """The first part of a path below the work tree's top that is a link."""
        parts = [path, *path.parents]
        inside = [part for part in reversed(parts) if part != self.top and part.is_relative_to(self.top)]
        return next((part for part in inside if part.is_symlink()), None)

    def _blob(self, content: bytes) -> str:
        return hashlib.new(self.algorithm, b"blob %d\0" % len(content) + content).hexdigest()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.top).as_posix()

    def _shown(self, path: Path) -> str:
        return self._name(path) if path.is_relative_to(self.top) else str(path)


def commit_of(project: Path) -> Commit:
    """What the checked-out commit of a project's repository holds.

    Raises:
        NotFoundError: there is no repository or no commit, or git cannot read it; the reason is git's own line.
        UnavailableError: git cannot be started.
    """
    project = project.resolve()
    top = Path(os.fsdecode(_asked(project, "rev-parse", "--show-toplevel").removesuffix(b"\n"))).resolve()
    if not project.is_relative_to(top):
        raise NotFoundError(
            f"Git's work tree is {top}",
            f"it does not hold {project}",
            "Unset core.worktree in its configuration",
        )
    head = call(project, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.returncode:
        why = reason_of(head.stderr) if head.stderr.strip() else "the branch has no commit yet"
        raise NotFoundError(f"No commit holds {project}", why, "Commit it")
    commit = head.stdout.decode().strip()
    listed = _asked(project, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    entries: dict[str, tuple[str, str]] = {}
    small: set[str] = set()
    for line in listed.split(b"\0"):
        if line:
            described, _, name = line.partition(b"\t")
            mode, _, found, size = described.decode().split()
            entries[os.fsdecode(name)] = (mode, found)
            if size.isdecimal() and int(size) <= _POINTER_AT_MOST:
                small.add(found)
    branch = call(project, "symbolic-ref", "--quiet", "--short", "HEAD")
    return Commit(
        id=commit,
        branch=branch.stdout.decode("utf-8", "replace").strip() or None,
        top=top,
        algorithm="sha256" if len(commit) == 64 else "sha1",
        entries=entries,
        small=small,
    )


def status(project: Path) -> list[Finding]:
    """What git itself says is not committed, anywhere in the repository.

    Raises:
        NotFoundError: git cannot read the project.
    """
    shown = _asked(
        project,
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=normal",
        "--ignore-submodules=none",
        "--no-renames",
    )
    return [
        (
            os.fsdecode(line[3:]),
            "not in the commit" if line.startswith(b"??") else "not as the commit holds it",
        )
        for line in shown.split(b"\0")
        if line
    ]


def digest_of_folder(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder, without what git and Python keep there."""
    found = hashlib.sha256()
    for path in sorted(files_below([folder])):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(folder).as_posix()}\0{content}\0".encode("utf-8", "surrogateescape"))
    return f"sha256:{found.hexdigest()}"


def files_below(places: Iterable[Path]) -> Iterator[Path]:
    """Files at or below places, links to files among them."""
    for place in places:
        if place.is_file() or (place.is_symlink() and not place.is_dir()):
            yield place
        for folder, folders, names in os.walk(place):
            folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
            yield from (Path(folder) / name for name in names if not _is_litter(name))


@cache
def _is_litter(name: str) -> bool:
    return name in (".git", ".DS_Store", "Thumbs.db") or name.endswith((".pyc", ".swp", "~"))


def _asked(project: Path, *arguments: str) -> bytes:
    done = call(project, *arguments)
    if done.returncode:
        raise NotFoundError(f"Git cannot read {project}", reason_of(done.stderr), "Repair it")
    return done.stdout
