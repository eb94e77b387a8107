#!/usr/bin/env bash
# Runs the driver in a container, for machines with nothing but Docker: its flags are the driver's. It sees this folder, the Docker
# engine, and the processes and network of the machine, as a driver outside would.
set -euo pipefail
socket=/var/run/docker.sock
terminal=()
if [ -t 0 ] && [ -t 1 ]; then terminal=(--tty --interactive); fi
exec docker run --rm --init "${terminal[@]}" --network host --pid host --user "$(id -u):$(stat -c %g $socket)" \
  --volume $socket:$socket --volume "$PWD:$PWD" --workdir "$PWD" --env NO_COLOR --env TERM \
  model-comp/driver "$@"
