# One image for every process; what it runs stands behind the image's name: `services.chassis.serve identity`, or `gateway`.
# Built with what requirements.txt pins by hash. Pin the base by its digest where you build: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY protos/ protos/
RUN /venv/bin/python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. protos/*.proto
COPY services/ services/
COPY gateway/ gateway/
COPY samples/sandbox_residents.csv samples/
# What only builds or runs on one machine stays behind; the rest is compiled, since the running image can write nothing.
RUN /venv/bin/pip uninstall --yes grpcio-tools mypy-protobuf supervisor \
    && /venv/bin/pip uninstall --yes pip setuptools \
    && python -m compileall -q /venv/lib services gateway protos

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="LokOS" \
    org.opencontainers.image.description="The books of India's women's Self-Help Groups: every process of an instance, and the nation's gateway." \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# As in deploy/k8s/components/process/pod.yaml, which also says how health is asked.
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["/venv/bin/python", "-m"]
