#!/usr/bin/env bash
# Where Clipper's image driver has it.
exec "$(dirname "$0")/../docker/build_docker_images.sh" "$@"
