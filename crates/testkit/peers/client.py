"""A ZeroMQ client of either generation of Clipper's: python3 client.py GENERATION SEND_PORT RECV_PORT CONTAINERS QUERIES

It asks application `app_TYPE` for every input type, all queries at once, and checks each answer; CONTAINERS says whose
answers they are. Like Clipper's clients, it reads and writes frame by frame. The frontend's send port is where it reads.
"""

import struct
import sys
import time

import zmq

from values import CODES, STRINGS, answer, output_code, pack, question, unpack

PATIENCE_MILLIS = 20_000
FIRST = ["clipper::frontend_rpc_recv", "clipper::task_enqueued", "clipper::task_dequeued", "clipper::sent_rpc"]
BETWEEN = ["container::recv", "container::send"]
LAST = [
    "clipper::rpc_recv",
    "clipper::task_executor_recv",
    "clipper::task_executor_recv_end",
    "clipper::task_executor_msg_callback_found",
    "clipper::zmq_frontend_response_callback",
    "clipper::frontend_rpc_response_send",
]


def number(socket):
    return struct.unpack("<I", socket.recv())[0]


class Client:
    def __init__(self, send_port, recv_port):
        context = zmq.Context.instance()
        self.answers = context.socket(zmq.DEALER)
        self.answers.connect("tcp://127.0.0.1:" + send_port)
        # A blank message makes the connection.
        self.answers.send(b"", zmq.SNDMORE)
        self.answers.send(b"")
        self.wait()
        self.answers.recv()
        self.client_id = number(self.answers)
        self.requests = context.socket(zmq.DEALER)
        self.requests.connect("tcp://127.0.0.1:" + recv_port)

    def wait(self):
        assert self.answers.poll(PATIENCE_MILLIS, zmq.POLLIN), "nothing came from the frontend"

    def ask(self, request_id, app, code, value):
        data = pack(code, value)
        elements = len(data) if code == STRINGS else len(value)
        self.requests.send(b"", zmq.SNDMORE)
        self.requests.send(struct.pack("<I", self.client_id), zmq.SNDMORE)
        self.requests.send(struct.pack("<I", request_id), zmq.SNDMORE)
        self.requests.send_string(app, zmq.SNDMORE)
        self.requests.send(struct.pack("<I", code), zmq.SNDMORE)
        self.requests.send(struct.pack("<I", elements), zmq.SNDMORE)
        self.requests.send(data)

    def hear(self):
        """The next answer: request id, output type and output."""
        self.wait()
        self.answers.recv()
        return number(self.answers), number(self.answers), self.answers.recv()

    def hear_with_lineage(self):
        """The same in the high-performance generation, and the times by their names."""
        self.wait()
        self.answers.recv()
        request_id, code, length = number(self.answers), number(self.answers), number(self.answers)
        output = self.answers.recv()
        assert len(output) == length
        lineage = {}
        for _ in range(number(self.answers)):
            name = self.answers.recv().decode("ascii")
            (lineage[name],) = struct.unpack("<q", self.answers.recv())
        assert not self.answers.getsockopt(zmq.RCVMORE)
        return request_id, code, output, lineage


def check_lineage(lineage, containers, began):
    ours = FIRST + LAST
    expected = FIRST + BETWEEN + LAST if containers == "highperf" else ours
    assert sorted(lineage) == sorted(expected), lineage
    times = [lineage[name] for name in ours]
    assert times == sorted(times), lineage
    # The wall clock may have been corrected by a little since the frontend started.
    assert began - 1 <= times[0] / 1e6 and times[-1] / 1e6 <= time.time() + 1, lineage
    if containers == "highperf":
        assert lineage[BETWEEN[0]] <= lineage[BETWEEN[1]], lineage


def expected(containers, code, request_id):
    """The type and the value of a query's answer."""
    value = answer(question(code, request_id))
    if containers == "3":
        return STRINGS, str(value)
    return output_code(code), value


def main(generation, send_port, recv_port, containers, queries):
    client = Client(send_port, recv_port)
    for name, code in CODES.items():
        began = time.time()
        waiting = set(range(int(queries)))
        for request_id in sorted(waiting):
            client.ask(request_id, "app_" + name, code, question(code, request_id))
        while waiting:
            if generation == "highperf":
                request_id, output_type, output, lineage = client.hear_with_lineage()
                check_lineage(lineage, containers, began)
            else:
                request_id, output_type, output = client.hear()
                assert not client.answers.getsockopt(zmq.RCVMORE)
            waiting.remove(request_id)
            got = output_type, unpack(output_type, output)
            assert got == expected(containers, code, request_id), (name, request_id, got)


if __name__ == "__main__":
    main(*sys.argv[1:])
