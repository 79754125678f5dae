# The manager as a container image: make image IMG=...
FROM rust:1.95-slim-trixie AS build
# The compiler of this image, instead of what rust-toolchain.toml would fetch.
ENV RUSTUP_TOOLCHAIN=1.95
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p manager && \
    cp target/release/insitu-manager /insitu-manager

FROM debian:trixie-slim
COPY --from=build /insitu-manager /insitu-manager
USER 65532:65532
ENTRYPOINT ["/insitu-manager"]
