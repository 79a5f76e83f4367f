# The project at its commit, with what requirements.lock names. How to build, run and record it: docs/how-to/run-in-production.md
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/venv
COPY requirements.lock /srv/project/
# hash-checked wheels only: nothing of a dependency is executed while it is installed
RUN /opt/venv/bin/pip install --no-deps --require-hashes --only-binary :all: --requirement /srv/project/requirements.lock
COPY . /srv/project
WORKDIR /srv/project
RUN /opt/venv/bin/pip install --no-deps --no-index --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q -j 0 scripts

FROM ${PYTHON}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="slipway" \
    org.opencontainers.image.description="Iceberg tables from landed files with dbt and DuckDB, where every run is a release." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision="${REVISION}"
# git says which commit a release is of; Debian keeps one version of a package at a time, so that none is pinned
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory /srv/project \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/slipway slipway
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/project /srv/project
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DBT_PROJECT_DIR=/srv/project \
    DBT_TARGET_PATH=/var/lib/slipway/target \
    DBT_LOG_PATH=/var/lib/slipway/logs \
    SLIPWAY_HOME=/var/lib/slipway/home
USER 10001
WORKDIR /var/lib/slipway
# the catalog and the warehouse of the target answer, and its records can be read
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["slipway", "releases", "--output", "json"]
ENTRYPOINT ["slipway"]
CMD ["run"]
