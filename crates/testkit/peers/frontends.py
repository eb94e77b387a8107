"""What both stand-ins for Clipper's older frontends ask, and expect of a model server that answers every input with itself.

That model server fails on an input without elements, in these words.
"""

import struct

from values import DOUBLES, STRINGS, pack, question

FAILURE = b"there is nothing"
BATCHES = (1, 3, 8)
PATIENCE_MILLIS = 20_000


def i32(number):
    return struct.pack("<i", number)


def i64(number):
    return struct.pack("<q", number)


def hear(socket):
    """The next message: the sender's identity, and the frames behind the empty delimiter."""
    assert socket.poll(PATIENCE_MILLIS), "nothing came from the model server"
    identity, delimiter, *frames = socket.recv_multipart()
    assert delimiter == b""
    return identity, frames


def say(socket, identity, *frames):
    socket.send_multipart([identity, b"", *frames])


def batches(code):
    """The message id and the inputs of each batch; in the last, one is without elements."""
    first = 0
    for message_id, size in enumerate(BATCHES):
        inputs = [pack(code, question(code, first + index)) for index in range(size)]
        first += size
        if message_id == len(BATCHES) - 1:
            inputs[2] = b""
        yield message_id, inputs


def check(code, inputs, output_type, length, block):
    """Compares a response's block with what the inputs must be answered with."""
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
        # No code for doubles: they come as text.
        return str(list(struct.unpack("<%dd" % (len(data) // 8), data))).encode("utf-8")
    return data
