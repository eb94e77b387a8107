#!/usr/bin/env bash
# Runs the driver in a container, with the driver's flags, on machines with only Docker. The container has access to this folder,
# the Docker engine, and the machine's processes and network, like a driver outside.
set -euo pipefail
socket=/var/run/docker.sock
terminal=()
if [ -t 0 ] && [ -t 1 ]; then terminal=(--tty --interactive); fi
exec docker run --rm --init "${terminal[@]}" --network host --pid host --user "$(id -u):$(stat -c %g $socket)" \
  --volume $socket:$socket --volume "$PWD:$PWD" --workdir "$PWD" --env NO_COLOR --env TERM \
  model-comp/driver "$@"
