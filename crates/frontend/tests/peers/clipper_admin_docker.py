"""A user's session with PyPI's clipper-admin and its DockerContainerManager: serves model-comp/lgbm on this project's images.

Argument: the name of the cluster and the network. The script removes all that it creates, and fails at the first deviation.
"""

import os
import sys
import tempfile
import time

import docker
import requests
from clipper_admin import ClipperConnection, DockerContainerManager

INPUT = [0.5] * 2048


def wait_until(description, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %d s: %s" % (seconds, description)
        time.sleep(0.1)


def predict(clipper):
    url = "http://%s/pictures/predict" % clipper.get_query_addr()
    return requests.post(url, json={"input": INPUT}, timeout=30).json()


def answers(clipper):
    answer = predict(clipper)
    return "default" in answer and not answer["default"]


def registered(clipper, version):
    """Returns the ids of a version's replicas that are registered at the frontends."""
    containers = clipper.get_all_model_replicas(verbose=True)
    return [c["model_replica_id"] for c in containers if c["model_version"] == version]


def models(clipper):
    clipper.register_application("pictures", "floats", "none", 5000000)
    clipper.deploy_model("lgbm", "1", "floats", "model-comp/lgbm", num_replicas=2)
    clipper.link_model_to_app("pictures", "lgbm")
    wait_until("version 1 answers", lambda: answers(clipper))
    wait_until("two replicas", lambda: len(registered(clipper, "1")) == 2)
    output = predict(clipper)["output"]
    assert len(output) == 12, "a score per class: %r" % output

    clipper.set_num_replicas("lgbm", 3)
    assert clipper.get_num_replicas("lgbm") == 3
    wait_until("three replicas", lambda: len(registered(clipper, "1")) == 3)
    clipper.set_num_replicas("lgbm", 1)
    assert clipper.get_num_replicas("lgbm") == 1
    assert answers(clipper)

    clipper.deploy_model("lgbm", "2", "floats", "model-comp/lgbm")
    assert clipper.get_current_model_version("lgbm") == "2"
    wait_until("version 2 answers", lambda: registered(clipper, "2") and answers(clipper))
    assert predict(clipper)["output"] == output
    clipper.set_model_version("lgbm", "1")
    assert clipper.get_current_model_version("lgbm") == "1"
    assert answers(clipper)
    metrics = clipper.inspect_instance()
    assert metrics, "no metrics"


def monitoring(clipper):
    url = "http://%s/api/v1/query" % clipper.cm.get_metric_addr()

    def up():
        try:
            found = requests.get(url, params={"query": 'up{job="query"}'}, timeout=5).json()
        except requests.ConnectionError:
            return False
        return [r["value"][1] for r in found["data"]["result"]] == ["1"]

    wait_until("Prometheus has the query frontend's metrics", up)


def logs(clipper):
    with tempfile.TemporaryDirectory() as folder:
        files = clipper.get_clipper_logs(logging_dir=folder)
        texts = [open(os.path.join(folder, file)).read() for file in files]
        assert any("registered as replica" in text for text in texts), files
        assert any("listening on 0.0.0.0" in text for text in texts), files


def main(name):
    manager = DockerContainerManager(cluster_name=name, docker_network=name)
    clipper = ClipperConnection(manager)
    engine = docker.from_env()
    of_cluster = {"label": "ai.clipper.container.label=" + name}
    try:
        clipper.start_clipper()
        models(clipper)
        monitoring(clipper)
        logs(clipper)
        clipper.stop_models("lgbm")
        assert clipper.get_all_models() == []
        assert manager.get_num_replicas("lgbm", "1") == 0
        clipper.stop_all()
        running = engine.containers.list(filters=of_cluster)
        assert running == [], running
        # This project's containers exit on SIGTERM with code 0; Docker would kill them otherwise.
        stopped = engine.containers.list(all=True, filters=of_cluster)
        project_containers = [c for c in stopped if "lgbm" in c.name or "frontend-" in c.name]
        codes = {c.name: c.attrs["State"]["ExitCode"] for c in project_containers if "metric" not in c.name}
        assert codes and set(codes.values()) == {0}, codes
    finally:
        for container in engine.containers.list(all=True, filters=of_cluster):
            if sys.exc_info()[0]:
                print(container.name, container.logs(tail=20).decode(), file=sys.stderr)
            container.remove(force=True, v=True)
        for network in engine.networks.list(names=[name]):
            network.remove()


main(sys.argv[1])
