"""A stand-in for Clipper's frontend of 2017: python3 frontend_2017.py TYPE

Prints its port, lets one model server register, sends it batches and checks its answers.
"""

import struct
import sys

import zmq

from frontends import batches, check, hear, i32, i64, say
from values import CODES, ELEMENTS, STRINGS

NEW_CONTAINER, CONTENT, HEARTBEAT = 0, 1, 2
KEEP_ALIVE, METADATA_WANTED = 0, 1


def hear_unless_heartbeat(socket, registered):
    """The next message that is none; heartbeats are answered, each at once."""
    while True:
        identity, frames = hear(socket)
        if frames != [i32(HEARTBEAT)]:
            return identity, frames
        say(socket, identity, i32(HEARTBEAT), i32(KEEP_ALIVE if registered else METADATA_WANTED))


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
    container, frames = hear_unless_heartbeat(socket, False)
    assert frames == [i32(NEW_CONTAINER), b"m", b"1", str(code).encode("ascii")], frames
    for message_id, inputs in batches(code):
        say(socket, container, *request(code, message_id, inputs))
        sender, (kind, answered, output_type, length, block) = hear_unless_heartbeat(socket, True)
        assert (sender, kind, answered) == (container, i32(CONTENT), i32(message_id))
        check(code, inputs, output_type, length, block)


if __name__ == "__main__":
    main(*sys.argv[1:])
