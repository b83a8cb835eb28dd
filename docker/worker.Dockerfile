# The engine room: the Celery worker and, in child processes, the trainers.
FROM python:3.12-slim-bookworm AS build
# Where torch alone comes from: the index of CPU builds that pytorch.org/get-started names makes a
# small image. Empty: pip's own index, whose Linux build brings CUDA.
ARG TORCH_INDEX=
WORKDIR /src
RUN python -m venv /opt/stillhouse
ENV PATH=/opt/stillhouse/bin:$PATH
COPY constraints.txt .
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
        --no-deps --index-url "$TORCH_INDEX" torch; \
    fi
COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[train,data,vision,hub,postgres,s3,otel]"

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 stillhouse \
 && useradd --uid 10001 --gid stillhouse --no-create-home --home-dir /data stillhouse \
 && install -d -o stillhouse -g stillhouse /data
COPY --from=build /opt/stillhouse /opt/stillhouse
ENV PATH=/opt/stillhouse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STILLHOUSE_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
CMD ["python", "-m", "worker"]
