# shellcheck shell=bash
# Makes .venv from the lock files. Sourced by scripts/run and scripts/test in the project root.
#
#   environment_ready run     .venv holds requirements.lock and the project itself
#   environment_ready test    the same with requirements-dev.lock, which contains requirements.lock
#   spark_ready               after that: requirements-spark.lock
#
# Each step leaves a stamp in .venv when it is complete and takes it away before it begins, so an
# interrupted set-up is never taken for a finished one, and a start with valid stamps does nothing.
# A stamp names the place of .venv, because the scripts that pip writes hold absolute paths: a moved
# checkout gets a new environment.

# Settings of another environment must not decide what is installed or imported here.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "${0##*/}: $*"
    exit 1
}

# Newest first among the versions that the lock files are resolved for. Each is tried, not only looked
# for: version managers put launchers on PATH for versions that are not installed.
_find_python() {
    local candidate found=''
    for candidate in ${SLIPWAY_PYTHON:+"$SLIPWAY_PYTHON"} python3.13 python3.12 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -I -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
            >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
        found+=" $candidate ($("$candidate" -I -c 'import platform; print(platform.python_version())' 2>/dev/null ||
            printf 'does not start'))"
    done
    fail "needs Python 3.11, 3.12 or 3.13 with the venv module, found${found:- none}; install one" \
        "(Debian and Ubuntu: python3 python3-venv) or name it in SLIPWAY_PYTHON"
}

# What a stamp must say: place of .venv, its Python, and the content of the files it was made from.
_state() {
    printf '%s\n' "$PWD" && .venv/bin/python -I -S -c 'import sys; print(sys.version)' && cksum -- "$@"
}

_is_stamped() { # name, files
    local stamp=.venv/.slipway-$1 state
    shift
    [ -f "$stamp" ] && state=$(_state "$@" 2>/dev/null) && [ "$state" = "$(cat "$stamp")" ]
}

_stamp() { # name, files
    local stamp=.venv/.slipway-$1
    shift
    _state "$@" >"$stamp.new" && mv "$stamp.new" "$stamp"
}

_is_ready() {
    _is_stamped run requirements.lock && _is_stamped project pyproject.toml requirements.in &&
        { [ "$1" = run ] || _is_stamped test requirements-dev.lock; }
}

_pip_install() {
    .venv/bin/python -I -m pip --disable-pip-version-check --no-input --quiet install --no-deps --no-compile "$@" ||
        fail "could not install ${*: -1}: see pip's message above; what was downloaded is kept for the next start"
}

# Hash-checked wheels only: nothing of a dependency is executed while it is installed.
_install_locked() {
    _pip_install --require-hashes --only-binary :all: -r "$1"
    # On all cores, and also where PYTHONDONTWRITEBYTECODE is set: without bytecode every start would
    # compile 1,500 modules again. Tests that packages ship are never imported.
    .venv/bin/python -I -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null || true
}

# pyspark is published as source only. The locked setuptools builds it, so what is downloaded has a known hash as well.
spark_ready() {
    command -v java >/dev/null || [ -n "${JAVA_HOME-}" ] || fail "Spark needs Java 17: install it (Debian and Ubuntu: openjdk-17-jre-headless)"
    _is_stamped spark requirements-spark.lock && return
    say "Installing requirements-spark.lock (500 MB) …"
    rm -f .venv/.slipway-spark
    _pip_install --require-hashes --no-build-isolation -r requirements-spark.lock
    _stamp spark requirements-spark.lock
}

environment_ready() { # run | test
    local python
    _is_ready "$1" && return
    # venv would empty what the link leads to, which another checkout uses, and then refuse to go on.
    [ ! -L .venv ] || fail ".venv is a link to $(readlink .venv), which was not made here and would be emptied: remove the link"
    python=$(_find_python) || exit 1

    # One set-up at a time; the lock goes away with the process, however it ends.
    exec 9<pyproject.toml
    if ! "$python" -I -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        say "Another set-up of .venv is under way, waiting for it"
        "$python" -I -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    fi

    SECONDS=0
    if ! _is_stamped run requirements.lock; then
        if [ -e .venv ] && [ ! -e .venv/pyvenv.cfg ] && [ -n "$(ls -A .venv)" ]; then
            fail ".venv is not a virtual environment and would be overwritten: move it away"
        fi
        say "Setting up .venv with $("$python" --version) (once, a minute or two) …"
        "$python" -m venv --clear .venv ||
            fail "could not create .venv: see the message above; the venv module comes with python3-venv on Debian and Ubuntu"
        if [ "$1" = run ]; then
            _install_locked requirements.lock
            _stamp run requirements.lock
        fi
    fi
    if [ "$1" = test ] && ! _is_stamped test requirements-dev.lock; then
        say "Installing requirements-dev.lock …"
        rm -f .venv/.slipway-run
        _install_locked requirements-dev.lock
        _stamp run requirements.lock
        _stamp test requirements-dev.lock
    fi
    if ! _is_stamped project pyproject.toml requirements.in; then
        rm -f .venv/.slipway-project
        _pip_install --no-index --no-build-isolation --editable .
        .venv/bin/python -I -m compileall -q scripts >/dev/null || true
        _stamp project pyproject.toml requirements.in
    fi
    exec 9<&-
    say "… .venv is ready after $SECONDS s"
}
