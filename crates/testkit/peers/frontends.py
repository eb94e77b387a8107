"""Requests and expected responses of both stand-ins for Clipper's older frontends.

The model server answers every input with itself, and fails with the text FAILURE on an input without elements.
"""

import struct

from values import DOUBLES, STRINGS, make_input, pack

FAILURE = b"there is nothing"
BATCHES = (1, 3, 8)
TIMEOUT_MILLIS = 20_000


def i32(number):
    return struct.pack("<i", number)


def i64(number):
    return struct.pack("<q", number)


def recv(socket):
    """Returns the next message: the sender's identity, and the frames after the empty delimiter."""
    assert socket.poll(TIMEOUT_MILLIS), "no message from the model server"
    identity, delimiter, *frames = socket.recv_multipart()
    assert delimiter == b""
    return identity, frames


def send(socket, identity, *frames):
    socket.send_multipart([identity, b"", *frames])


def batches(code):
    """Yields the message id and the inputs of each batch. One input of the last batch has no elements."""
    first = 0
    for message_id, size in enumerate(BATCHES):
        inputs = [pack(code, make_input(code, first + index)) for index in range(size)]
        first += size
        if message_id == len(BATCHES) - 1:
            inputs[2] = b""
        yield message_id, inputs


def check(code, inputs, output_type, length, block):
    """Compares a response's block with the correct outputs of the inputs."""
    (output_type,), (length,) = struct.unpack("<I", output_type), struct.unpack("<I", length)
    assert length == len(block)
    text = code in (DOUBLES, STRINGS)
    assert output_type == (STRINGS if text else code)
    (count,) = struct.unpack_from("<I", block)
    sizes = struct.unpack_from("<%dI" % count, block, 4)
    start, outputs = 4 * (count + 1), []
    for size in sizes:
        outputs.append(block[start : start + size])
        start += size
    assert start == len(block)
    assert outputs == [expected(code, text, data) for data in inputs], outputs


def expected(code, text, data):
    if not data:
        return FAILURE if text else b""
    if code == DOUBLES:
        # There is no type code for doubles, so they are sent as text.
        return str(list(struct.unpack("<%dd" % (len(data) // 8), data))).encode("utf-8")
    return data
