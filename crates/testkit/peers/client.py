"""A ZeroMQ client of either generation of Clipper: python3 client.py GENERATION SEND_PORT RECV_PORT CONTAINERS QUERIES

For every input type it sends QUERIES queries at once to application `app_TYPE`, and checks each answer. CONTAINERS is the
generation of the containers that answer. Like Clipper's clients, it reads and writes frame by frame. It reads from the
frontend's send port.
"""

import struct
import sys
import time

import zmq

from values import CODES, STRINGS, make_input, model_output, output_code, pack, unpack

TIMEOUT_MILLIS = 20_000
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


def read_u32(socket):
    return struct.unpack("<I", socket.recv())[0]


class Client:
    def __init__(self, send_port, recv_port):
        context = zmq.Context.instance()
        self.answers = context.socket(zmq.DEALER)
        self.answers.connect("tcp://127.0.0.1:" + send_port)
        # An empty message opens the connection.
        self.answers.send(b"", zmq.SNDMORE)
        self.answers.send(b"")
        self.wait()
        self.answers.recv()
        self.client_id = read_u32(self.answers)
        self.requests = context.socket(zmq.DEALER)
        self.requests.connect("tcp://127.0.0.1:" + recv_port)

    def wait(self):
        assert self.answers.poll(TIMEOUT_MILLIS, zmq.POLLIN), "no message from the frontend"

    def send_query(self, request_id, app, code, value):
        data = pack(code, value)
        elements = len(data) if code == STRINGS else len(value)
        self.requests.send(b"", zmq.SNDMORE)
        self.requests.send(struct.pack("<I", self.client_id), zmq.SNDMORE)
        self.requests.send(struct.pack("<I", request_id), zmq.SNDMORE)
        self.requests.send_string(app, zmq.SNDMORE)
        self.requests.send(struct.pack("<I", code), zmq.SNDMORE)
        self.requests.send(struct.pack("<I", elements), zmq.SNDMORE)
        self.requests.send(data)

    def recv_answer(self):
        """Returns the next answer: request id, output type and output."""
        self.wait()
        self.answers.recv()
        return read_u32(self.answers), read_u32(self.answers), self.answers.recv()

    def recv_answer_with_lineage(self):
        """Returns the next answer of the high-performance generation, with its lineage: times by name."""
        self.wait()
        self.answers.recv()
        request_id, code, length = read_u32(self.answers), read_u32(self.answers), read_u32(self.answers)
        output = self.answers.recv()
        assert len(output) == length
        lineage = {}
        for _ in range(read_u32(self.answers)):
            name = self.answers.recv().decode("ascii")
            (lineage[name],) = struct.unpack("<q", self.answers.recv())
        assert not self.answers.getsockopt(zmq.RCVMORE)
        return request_id, code, output, lineage


def check_lineage(lineage, containers, start):
    frontend_names = FIRST + LAST
    expected = FIRST + BETWEEN + LAST if containers == "highperf" else frontend_names
    assert sorted(lineage) == sorted(expected), lineage
    times = [lineage[name] for name in frontend_names]
    assert times == sorted(times), lineage
    # The wall clock may have been adjusted slightly since the frontend started.
    assert start - 1 <= times[0] / 1e6 and times[-1] / 1e6 <= time.time() + 1, lineage
    if containers == "highperf":
        assert lineage[BETWEEN[0]] <= lineage[BETWEEN[1]], lineage


def expected(containers, code, request_id):
    """Returns the type and the value of the correct answer to a query."""
    value = model_output(make_input(code, request_id))
    if containers == "3":
        return STRINGS, str(value)
    return output_code(code), value


def main(generation, send_port, recv_port, containers, queries):
    client = Client(send_port, recv_port)
    for name, code in CODES.items():
        start = time.time()
        pending = set(range(int(queries)))
        for request_id in sorted(pending):
            client.send_query(request_id, "app_" + name, code, make_input(code, request_id))
        while pending:
            if generation == "highperf":
                request_id, output_type, output, lineage = client.recv_answer_with_lineage()
                check_lineage(lineage, containers, start)
            else:
                request_id, output_type, output = client.recv_answer()
                assert not client.answers.getsockopt(zmq.RCVMORE)
            pending.remove(request_id)
            actual = output_type, unpack(output_type, output)
            assert actual == expected(containers, code, request_id), (name, request_id, actual)


if __name__ == "__main__":
    main(*sys.argv[1:])
