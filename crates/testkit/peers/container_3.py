"""A container of Clipper's final release, RPC version 3: python3 container_3.py PORT NAME VERSION TYPE

It sends the same messages as that release's Python runtime, and reads and writes frame by frame, without checks.
"""

import struct
import sys
import time

import zmq

from values import CODES, end_with_stdin, model_output, unpack

RPC_VERSION = 3
NEW_CONTAINER, CONTENT, HEARTBEAT = 0, 1, 2
POLL_MILLIS, ACTIVITY_SECONDS = 5000, 30


def read_u32(socket):
    return struct.unpack("<I", socket.recv())[0]


def heartbeat(socket):
    socket.send_string("", zmq.SNDMORE)
    socket.send(struct.pack("<I", HEARTBEAT))


def register(socket, name, version, code):
    socket.send(b"", zmq.SNDMORE)
    socket.send(struct.pack("<I", NEW_CONTAINER), zmq.SNDMORE)
    socket.send_string(name, zmq.SNDMORE)
    socket.send_string(version, zmq.SNDMORE)
    socket.send_string(str(code), zmq.SNDMORE)
    socket.send(struct.pack("<I", RPC_VERSION))


def predict(socket, code):
    message_id = socket.recv()
    assert read_u32(socket) == 0, "the request is not a prediction"
    (header_size,) = struct.unpack("<Q", socket.recv())
    header = socket.recv()
    assert len(header) == header_size
    input_type, count, *sizes = struct.unpack("<%dQ" % (header_size // 8), header)
    assert input_type == code
    inputs = [socket.recv() for _ in range(count)]
    assert [len(value) for value in inputs] == sizes
    outputs = [str(model_output(unpack(code, value))).encode("utf-8") for value in inputs]
    header = struct.pack("<%dQ" % (count + 1), count, *map(len, outputs))
    socket.send_string("", zmq.SNDMORE)
    socket.send(struct.pack("<I", CONTENT), zmq.SNDMORE)
    socket.send(message_id, zmq.SNDMORE)
    socket.send(struct.pack("<Q", len(header)), zmq.SNDMORE)
    socket.send(header, zmq.SNDMORE)
    for output in outputs[:-1]:
        socket.send(output, zmq.SNDMORE)
    socket.send(outputs[-1])


def serve(address, name, version, code):
    """Serves one connection, until it has been silent for too long."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    socket.connect(address)
    heartbeat(socket)
    last_activity = None
    while True:
        if socket not in dict(poller.poll(POLL_MILLIS)):
            if last_activity is None:
                continue
            if time.monotonic() - last_activity >= ACTIVITY_SECONDS:
                return socket.close()
            heartbeat(socket)
            continue
        last_activity = time.monotonic()
        socket.recv()
        assert read_u32(socket) == RPC_VERSION
        kind = read_u32(socket)
        if kind == HEARTBEAT:
            if read_u32(socket) == 1:
                register(socket, name, version, code)
        elif kind == CONTENT:
            predict(socket, code)


if __name__ == "__main__":
    end_with_stdin()
    port, model_name, model_version, input_name = sys.argv[1:]
    while True:
        serve("tcp://127.0.0.1:" + port, model_name, model_version, CODES[input_name])
