# The program and nothing else: no shell tools are needed, `keyrack ready` is its own health check.
FROM rust:1.95-slim-bookworm AS build
# aws-lc and SQLite are compiled from C.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package keyrack

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/keyrack --create-home keyrack
COPY --from=build /source/target/dist/keyrack /usr/local/bin/keyrack
USER 10001
WORKDIR /var/lib/keyrack
ENV KEYRACK_LISTEN=0.0.0.0:8080 KEYRACK_DATA_DIR=/var/lib/keyrack KEYRACK_LOG_FORMAT=json
EXPOSE 8080
VOLUME /var/lib/keyrack
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["keyrack", "ready"]
ENTRYPOINT ["keyrack"]
CMD ["serve"]
