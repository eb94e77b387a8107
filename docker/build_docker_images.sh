#!/usr/bin/env bash
# Builds the images of the frontend, the model servers and the driver. The programs are compiled outside and copied in, so an
# image holds only what it runs.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
Usage: docker/build_docker_images.sh [FLAGS] [IMAGE...]

Images: frontend vgg inception svm lgbm noop driver [default: all of these]
        clipper_admin: the images that Clipper's own tool starts beside them

  --compile WHERE  host: compile with this machine's Rust; docker: compile in a container, which needs no Rust here
                   [default: host on Debian 12 with cargo, else docker]
  --no_artifacts   omit the models' artifacts; mount a folder with them at /artifacts
  --cuda           build vgg and inception for NVIDIA GPUs, tagged latest-cuda, without artifacts (after `make cuda`)
  --base IMAGE     base image [default: debian:bookworm-slim; made with debootstrap if it cannot be pulled]
  --rust IMAGE     image to compile in [default: rust:1.95-bookworm]
TEXT
}

fail() { echo "build_docker_images: $*" >&2; exit 1; }

base=debian:bookworm-slim rust=rust:1.95-bookworm compile="" artifacts=yes cuda="" images=()
while [ $# -gt 0 ]; do
  case $1 in
    --compile | --base | --rust)
      [ $# -gt 1 ] || fail "$1 requires a value: see --help"
      declare "${1#--}=$2"
      shift
      ;;
    --no_artifacts) artifacts="" ;;
    --cuda) cuda=yes artifacts="" ;;
    --help | -h) usage; exit ;;
    frontend | vgg | inception | svm | lgbm | noop | driver | clipper_admin) images+=("$1") ;;
    *) usage >&2; fail "$1 is neither a flag nor an image" ;;
  esac
  shift
done
if [ -n "$cuda" ]; then
  [ ${#images[@]} -gt 0 ] || images=(vgg inception)
  [ -e .deps/cuda/.ready ] || fail "--cuda copies the libraries that \`make cuda\` fetches: run it first"
fi
[ ${#images[@]} -gt 0 ] || images=(frontend vgg inception svm lgbm noop driver)
docker version >/dev/null 2>&1 || fail "no Docker engine responds: start it, or join the group docker"

is_debian_12() { (. /etc/os-release && [ "${VERSION_CODENAME:-}" = bookworm ]) 2>/dev/null; }
if [ -z "$compile" ]; then
  compile=docker
  if command -v cargo >/dev/null && is_debian_12; then compile=host; fi
fi

# Prints output only on failure: the classic builder prints a deprecation warning at each call.
docker_build() {
  local log
  log=$(docker build --quiet "$@" 2>&1) || fail "docker build $*:"$'\n'"$log"
}

# Succeeds if the image is neither here nor can be pulled.
missing() { ! docker image inspect "$1" >/dev/null 2>&1 && ! docker pull --quiet "$1" 2>/dev/null; }

make_debian() {
  echo "build_docker_images: cannot pull $base: making it with debootstrap"
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  command -v debootstrap >/dev/null || { $sudo apt-get update -qq && $sudo apt-get install -y -qq debootstrap >/dev/null; }
  root=$(mktemp -d)
  $sudo debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian >"$root.log" || fail "debootstrap failed: see $root.log"
  # Excludes what Debian's slim images omit.
  $sudo tar --directory "$root" --create --exclude './usr/share/doc/*' --exclude './usr/share/man/*' --exclude './usr/share/info/*' \
    --exclude './usr/share/locale/*' --exclude './var/cache/apt/*' --exclude './var/lib/apt/lists/*' . | docker import - "$base" >/dev/null
  $sudo rm -rf "$root" "$root.log"
}

compile_in_docker() {
  if missing "$rust"; then
    fail "cannot pull $rust: set --rust to another image with Rust 1.95 or later on Debian 12, or use --compile host"
  fi
  context=target/docker/builder
  mkdir -p "$context"
  cp Makefile "$context"
  docker_build --file docker/builder.Dockerfile --build-arg "RUST=$rust" --tag model-comp/builder "$context"
  # It has its own target folder, because the host's programs may link with another C library. It uses the image's own
  # toolchain, because that of rust-toolchain.toml may be missing.
  docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:$PWD" --workdir "$PWD" --env HOME=/tmp \
    --env CARGO_HOME="$PWD/target/docker/cargo" --env CARGO_TARGET_DIR="$PWD/target/docker/target" model-comp/builder \
    sh -c 'if command -v rustup >/dev/null; then export RUSTUP_TOOLCHAIN="$(rustup default | cut -d" " -f1)"; fi; exec make artifacts'
  programs=target/docker/target/release
}

compile_on_host() {
  make artifacts
  programs=${CARGO_TARGET_DIR:-target}/release
}

revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# build NAME TITLE DOCKERFILE TAG...: builds an image from target/docker/NAME/files.
build() {
  local name=$1 title=$2 dockerfile=$3 tag
  shift 3
  local tags=()
  for tag in "$@"; do tags+=(--tag "$tag"); done
  docker_build --file "docker/$dockerfile.Dockerfile" "${tags[@]}" \
    --label "org.opencontainers.image.title=$title" --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.revision=$revision" --label org.opencontainers.image.licenses=Apache-2.0 \
    "target/docker/$name"
  printf '%-40s %s\n' "$1" "$(docker image inspect --format '{{.Size}}' "$1" | numfmt --to=iec)"
}

# program NAME [AS]: makes a fresh target/docker/NAME/files with one program.
program() {
  files=target/docker/$1/files
  rm -rf "target/docker/$1"
  install -D --strip "$programs/$1" "$files/usr/local/bin/${2:-$1}"
}

# A model server's program has the same name in all images, because an entry point cannot use a build argument.
model() {
  local name=$1 tag=model-comp/$1
  program "$name" server
  ln -s server "$files/usr/local/bin/$name"
  mkdir -p "$files/artifacts" "$files/usr/local/lib"
  case $name in
    vgg | inception)
      if [ -n "$cuda" ]; then
        tag=$tag:latest-cuda
        cp --dereference .deps/cuda/onnxruntime/capi/*.so* "$files/usr/local/lib"
        rm -f "$files"/usr/local/lib/onnxruntime_pybind11_state*
      else
        cp --dereference .deps/lib/libonnxruntime.so "$files/usr/local/lib/$(basename "$(readlink -f .deps/lib/libonnxruntime.so)")"
      fi
      ln -sf "$(basename "$files"/usr/local/lib/libonnxruntime.so.*)" "$files/usr/local/lib/libonnxruntime.so"
      ;;
    lgbm) cp --dereference .deps/lib/lib_lightgbm.so "$files/usr/local/lib" ;;
  esac
  if [ -n "$artifacts" ]; then
    local artifact
    for artifact in artifacts/"$name".{onnx,safetensors,txt}{,.json}; do
      [ ! -e "$artifact" ] || ln "$artifact" "$files/artifacts" 2>/dev/null || cp "$artifact" "$files/artifacts"
    done
  fi
  build "$name" "model server $name" model "$tag"
}

if missing "$base"; then
  [ "$base" = debian:bookworm-slim ] || fail "the image $base is missing and cannot be pulled"
  make_debian
fi
if [ "${images[*]}" != clipper_admin ]; then
  "compile_$([ "$compile" = docker ] && echo in_docker || echo on_host)"
  docker_build --build-arg "BASE=$base" --tag model-comp/base - <docker/base.Dockerfile
fi
for image in "${images[@]}"; do
  case $image in
    frontend)
      program frontend
      build frontend "query frontend" frontend clipper/zmq_frontend clipper/query_frontend clipper/management_frontend \
        clipper/query_frontend:0.4.1 clipper/management_frontend:0.4.1
      ;;
    driver)
      program driver
      build driver driver driver model-comp/driver
      ;;
    clipper_admin)
      for target in exporter=clipper/frontend-exporter:0.4.1 redis=redis:alpine prometheus=prom/prometheus:v2.9.2; do
        if [ "${target%%=*}" = exporter ] || missing "${target#*=}"; then
          docker_build --build-arg "BASE=$base" --target "${target%%=*}" --tag "${target#*=}" - \
            <docker/clipper_admin.Dockerfile
          echo "${target#*=}"
        fi
      done
      ;;
    *) model "$image" ;;
  esac
done
