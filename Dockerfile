# syntax=docker/dockerfile:1
# By tag: the newest patches of Python and Debian. To pin one, name it by its digest (docs/deployment.md).
ARG PYTHON_IMAGE=python:3.13-slim

# Build stage: the locked packages, each checked against its hash, and the wheel of this one, in an environment of their own.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.txt requirements-build.txt /tmp/
RUN python -m venv --without-pip /opt/venv
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes --only-binary :all: -r /tmp/requirements.txt
RUN pip install --no-deps --require-hashes --only-binary :all: -r /tmp/requirements-build.txt
COPY pyproject.toml README.md LICENSE fly.toml /src/
COPY service /src/service
COPY supabase/migrations /src/supabase/migrations
COPY docs/runbook.md docs/runbook.ko.md /src/docs/
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /tmp/wheels /src
RUN pip --python /opt/venv/bin/python install --no-deps --no-index /tmp/wheels/supatoss-*.whl

# The image: Python and that environment; no package manager's cache, no compiler, no source, nobody's secrets.
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title=supatoss org.opencontainers.image.licenses=MIT
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin supatoss
COPY --from=build /opt/venv /opt/venv
# A login shell (`fly ssh console`) has Debian's PATH, not the image's.
RUN ln -s /opt/venv/bin/supatoss /usr/local/bin/supatoss
USER 10001
EXPOSE 8080 9091
STOPSIGNAL SIGTERM
CMD ["supatoss", "serve"]
