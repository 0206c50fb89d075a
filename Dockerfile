# syntax=docker/dockerfile:1
# Build stage: the locked packages, each checked against its hash, in an environment of their own.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes --only-binary :all: -r /tmp/requirements.txt
COPY service /app/service
RUN python -m compileall -q -j 0 /opt/venv/lib /app/service

# The image: Python, the packages, the service; no package manager's cache, no compiler, nobody's secrets.
FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin supatoss
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app/service /app
WORKDIR /app
USER 10001
EXPOSE 8080 9091
STOPSIGNAL SIGTERM
CMD ["python", "-m", "supatoss", "serve"]
