"""What a user of PyPI's clipper-admin does with its DockerContainerManager, on our images: model-comp/lgbm from start to stop.

Argument: a name for cluster and network. Leaves nothing behind; ends with an error at the first surprise.
"""

import os
import sys
import tempfile
import time

import docker
import requests
from clipper_admin import ClipperConnection, DockerContainerManager

INPUT = [0.5] * 2048


def until(what, is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "not in %d s: %s" % (seconds, what)
        time.sleep(0.1)


def predict(clipper):
    url = "http://%s/pictures/predict" % clipper.get_query_addr()
    return requests.post(url, json={"input": INPUT}, timeout=30).json()


def answers(clipper):
    answer = predict(clipper)
    return "default" in answer and not answer["default"]


def registered(clipper, version):
    """The ids of the replicas that the frontends have of a version."""
    containers = clipper.get_all_model_replicas(verbose=True)
    return [c["model_replica_id"] for c in containers if c["model_version"] == version]


def models(clipper):
    clipper.register_application("pictures", "floats", "none", 5000000)
    clipper.deploy_model("lgbm", "1", "floats", "model-comp/lgbm", num_replicas=2)
    clipper.link_model_to_app("pictures", "lgbm")
    until("version 1 answers", lambda: answers(clipper))
    until("two replicas", lambda: len(registered(clipper, "1")) == 2)
    output = predict(clipper)["output"]
    assert len(output) == 12, "a score per class: %r" % output

    clipper.set_num_replicas("lgbm", 3)
    assert clipper.get_num_replicas("lgbm") == 3
    until("three replicas", lambda: len(registered(clipper, "1")) == 3)
    clipper.set_num_replicas("lgbm", 1)
    assert clipper.get_num_replicas("lgbm") == 1
    assert answers(clipper)

    clipper.deploy_model("lgbm", "2", "floats", "model-comp/lgbm")
    assert clipper.get_current_model_version("lgbm") == "2"
    until("version 2 answers", lambda: registered(clipper, "2") and answers(clipper))
    assert predict(clipper)["output"] == output
    clipper.set_model_version("lgbm", "1")
    assert clipper.get_current_model_version("lgbm") == "1"
    assert answers(clipper)
    # Every query since the beginning was answered by a model, or said why not.
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

    until("Prometheus has the query frontend's metrics", up)


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
    of_this = {"label": "ai.clipper.container.label=" + name}
    try:
        clipper.start_clipper()
        models(clipper)
        monitoring(clipper)
        logs(clipper)
        clipper.stop_models("lgbm")
        assert clipper.get_all_models() == []
        assert manager.get_num_replicas("lgbm", "1") == 0
        clipper.stop_all()
        running = engine.containers.list(filters=of_this)
        assert running == [], running
        # Ours end when they are told to; Docker kills what does not.
        stopped = engine.containers.list(all=True, filters=of_this)
        ours = [c for c in stopped if "lgbm" in c.name or "frontend-" in c.name]
        codes = {c.name: c.attrs["State"]["ExitCode"] for c in ours if "metric" not in c.name}
        assert codes and set(codes.values()) == {0}, codes
    finally:
        for container in engine.containers.list(all=True, filters=of_this):
            if sys.exc_info()[0]:
                print(container.name, container.logs(tail=20).decode(), file=sys.stderr)
            container.remove(force=True, v=True)
        for network in engine.networks.list(names=[name]):
            network.remove()


main(sys.argv[1])
