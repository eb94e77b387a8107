"""A container of Clipper's high-performance generation: python3 container_highperf.py PORT RESPONSES_PORT NAME VERSION TYPE

It says on the wire what that generation's Python runtime says: it reads and writes frame by frame, without checks.
"""

import datetime
import struct
import sys

import zmq

from values import CODES, answer, end_with_stdin, output_code, pack, unpack

NEW_CONTAINER, CONTENT = 0, 1
POLL_MILLIS = 5000
EPOCH = datetime.datetime(1970, 1, 1)


def number(socket):
    return struct.unpack("<I", socket.recv())[0]


def micros(time):
    return (time - EPOCH).total_seconds() * 1000.0 * 1000.0


def register(requests, name, version, code):
    """Registers, and answers the connection id."""
    requests.send(b"", zmq.SNDMORE)
    requests.send(struct.pack("<I", NEW_CONTAINER), zmq.SNDMORE)
    requests.send_string(name, zmq.SNDMORE)
    requests.send_string(version, zmq.SNDMORE)
    requests.send_string(str(code))
    requests.recv()
    return number(requests)


def predict(requests, code):
    """Reads a request; answers the message id, its outputs in one block, and when it came."""
    requests.recv()
    received = datetime.datetime.now()
    assert number(requests) == CONTENT
    message_id = requests.recv()
    assert number(requests) == 0, "only predictions are ever asked for"
    requests.recv()
    header = requests.recv()
    input_type, count, *sizes = struct.unpack("<%dI" % (len(header) // 4), header)
    assert input_type == code
    inputs = [requests.recv() for _ in range(count)]
    assert [len(value) for value in inputs] == sizes
    outputs = [pack(output_code(code), answer(unpack(code, value))) for value in inputs]
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
