#!/usr/bin/env bash
# Runs docker/build_docker_images.sh from the path that it has in Clipper's image driver.
exec "$(dirname "$0")/../docker/build_docker_images.sh" "$@"
