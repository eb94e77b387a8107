"""A container of Clipper's generation of 2017: python3 container_2017.py PORT NAME VERSION TYPE

It sends the same messages as that generation's Python runtime, and reads and writes frame by frame, without checks.
"""

import struct
import sys
import time

import zmq

from values import CODES, STRINGS, end_with_stdin, model_output, output_code, pack, unpack

NEW_CONTAINER, CONTENT, HEARTBEAT = 0, 1, 2
POLL_MILLIS, ACTIVITY_SECONDS = 5000, 30


def read_u32(socket):
    return struct.unpack("<I", socket.recv())[0]


def send_frames(socket, *frames):
    for frame in (b"",) + frames[:-1]:
        socket.send(frame, zmq.SNDMORE)
    socket.send(frames[-1])


def heartbeat(socket):
    send_frames(socket, struct.pack("<I", HEARTBEAT))


def register(socket, name, version, code):
    socket.send(b"", zmq.SNDMORE)
    socket.send(struct.pack("<I", NEW_CONTAINER), zmq.SNDMORE)
    socket.send_string(name, zmq.SNDMORE)
    socket.send_string(version, zmq.SNDMORE)
    socket.send_string(str(code))


def split(code, content, ends):
    """Returns the inputs. `ends` counts elements, like the split indices of numpy."""
    if code == STRINGS:
        return content.decode("utf-8").split("\0")[:-1]
    elements = unpack(code, content)
    bounds = [0] + list(ends) + [len(elements)]
    return [elements[start:end] for start, end in zip(bounds, bounds[1:])]


def predict(socket, code):
    message_id = socket.recv()
    assert read_u32(socket) == 0, "the request is not a prediction"
    socket.recv()
    header = socket.recv()
    socket.recv()
    content = socket.recv()
    input_type, count, *ends = struct.unpack("<%dI" % (len(header) // 4), header)
    assert input_type == code
    inputs = split(code, content, ends)
    assert len(inputs) == count
    outputs = [pack(output_code(code), model_output(value)) for value in inputs]
    block = struct.pack("<%dI" % (count + 1), count, *map(len, outputs)) + b"".join(outputs)
    sizes = struct.pack("<I", output_code(code)), struct.pack("<I", len(block))
    send_frames(socket, struct.pack("<I", CONTENT), message_id, *sizes, block)


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
