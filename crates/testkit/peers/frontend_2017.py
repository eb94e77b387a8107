"""A stand-in for Clipper's frontend of 2017: python3 frontend_2017.py TYPE

It prints its port, waits until one model server has registered, sends it batches and checks its responses.
"""

import struct
import sys

import zmq

from frontends import batches, check, i32, i64, recv, send
from values import CODES, ELEMENTS, STRINGS

NEW_CONTAINER, CONTENT, HEARTBEAT = 0, 1, 2
KEEP_ALIVE, METADATA_WANTED = 0, 1


def recv_unless_heartbeat(socket, registered):
    """Returns the next message that is not a heartbeat, and answers each heartbeat at once."""
    while True:
        identity, frames = recv(socket)
        if frames != [i32(HEARTBEAT)]:
            return identity, frames
        send(socket, identity, i32(HEARTBEAT), i32(KEEP_ALIVE if registered else METADATA_WANTED))


def request(code, message_id, inputs):
    ends, content = [], b""
    for index, data in enumerate(inputs):
        content += data + b"\0" if code == STRINGS else data
        size = 1 if code == STRINGS else struct.calcsize(ELEMENTS[code])
        ends.append(index + 1 if code == STRINGS else len(content) // size)
    header = struct.pack("<%dI" % (len(inputs) + 1), code, len(inputs), *ends[:-1])
    return i32(CONTENT), i32(message_id), i32(0), i64(len(header)), header, i64(len(content)), content


def main(name):
    code = CODES[name]
    socket = zmq.Context.instance().socket(zmq.ROUTER)
    print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    container, frames = recv_unless_heartbeat(socket, False)
    assert frames == [i32(NEW_CONTAINER), b"m", b"1", str(code).encode("ascii")], frames
    for message_id, inputs in batches(code):
        send(socket, container, *request(code, message_id, inputs))
        sender, (kind, response_id, output_type, length, block) = recv_unless_heartbeat(socket, True)
        assert (sender, kind, response_id) == (container, i32(CONTENT), i32(message_id))
        check(code, inputs, output_type, length, block)


if __name__ == "__main__":
    main(*sys.argv[1:])
