# The door: API, page, migrations, and the command line for pipelines. No torch: this image stays small.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/stillhouse
ENV PATH=/opt/stillhouse/bin:$PATH
COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[data,postgres,s3,otel,mlflow]" ./client

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
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]
