"""A container of Clipper's high-performance generation: python3 container_highperf.py PORT RESPONSES_PORT NAME VERSION TYPE

It sends the same messages as that generation's Python runtime, and reads and writes frame by frame, without checks.
"""

import datetime
import struct
import sys

import zmq

from values import CODES, end_with_stdin, model_output, output_code, pack, unpack

NEW_CONTAINER, CONTENT = 0, 1
POLL_MILLIS = 5000
EPOCH = datetime.datetime(1970, 1, 1)


def read_u32(socket):
    return struct.unpack("<I", socket.recv())[0]


def micros(time):
    return (time - EPOCH).total_seconds() * 1000.0 * 1000.0


def register(requests, name, version, code):
    """Registers, and returns the connection id."""
    requests.send(b"", zmq.SNDMORE)
    requests.send(struct.pack("<I", NEW_CONTAINER), zmq.SNDMORE)
    requests.send_string(name, zmq.SNDMORE)
    requests.send_string(version, zmq.SNDMORE)
    requests.send_string(str(code))
    requests.recv()
    return read_u32(requests)


def predict(requests, code):
    """Reads a request; returns the message id, the outputs in one block, and the time of reception."""
    requests.recv()
    received = datetime.datetime.now()
    assert read_u32(requests) == CONTENT
    message_id = requests.recv()
    assert read_u32(requests) == 0, "the request is not a prediction"
    requests.recv()
    header = requests.recv()
    input_type, count, *sizes = struct.unpack("<%dI" % (len(header) // 4), header)
    assert input_type == code
    inputs = [requests.recv() for _ in range(count)]
    assert [len(value) for value in inputs] == sizes
    outputs = [pack(output_code(code), model_output(unpack(code, value))) for value in inputs]
    block = struct.pack("<%dI" % (count + 1), count, *map(len, outputs)) + b"".join(outputs)
    return message_id, block, received


def respond(responses, connection, code, prediction):
    message_id, block, received = prediction
    sent = datetime.datetime.now()
    responses.send(b"", zmq.SNDMORE)
    responses.send(struct.pack("<I", connection), zmq.SNDMORE)
    responses.send(struct.pack("<I", CONTENT), zmq.SNDMORE)
    responses.send(message_id, zmq.SNDMORE)
    responses.send(struct.pack("<I", output_code(code)), zmq.SNDMORE)
    responses.send(struct.pack("<I", len(block)), zmq.SNDMORE)
    responses.send(block, zmq.SNDMORE)
    responses.send(struct.pack("<d", micros(received)), zmq.SNDMORE)
    responses.send(struct.pack("<d", micros(sent)))


def serve(ports, name, version, code):
    context = zmq.Context.instance()
    requests = context.socket(zmq.DEALER)
    requests.connect("tcp://127.0.0.1:" + ports[0])
    connection = register(requests, name, version, code)
    responses = context.socket(zmq.DEALER)
    responses.connect("tcp://127.0.0.1:" + ports[1])
    while True:
        if requests.poll(POLL_MILLIS, zmq.POLLIN):
            respond(responses, connection, code, predict(requests, code))


if __name__ == "__main__":
    end_with_stdin()
    serve(sys.argv[1:3], sys.argv[3], sys.argv[4], CODES[sys.argv[5]])
