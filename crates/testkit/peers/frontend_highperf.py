"""A stand-in for Clipper's high-performance frontend: python3 frontend_highperf.py TYPE

It prints its two ports and waits until one model server has registered. It sends batches by the first port and checks the
responses at the second.
"""

import struct
import sys
import time

import zmq

from frontends import batches, check, i32, i64, recv, send
from values import CODES

NEW_CONTAINER, CONTENT = 0, 1
CONNECTION = 41


def request(code, message_id, inputs):
    header = struct.pack("<%dI" % (len(inputs) + 2), code, len(inputs), *map(len, inputs))
    return (i32(CONTENT), i32(message_id), i32(0), i64(len(header)), header, *inputs)


def main(name):
    code = CODES[name]
    context = zmq.Context.instance()
    requests, responses = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (requests, responses)]
    print(*ports, flush=True)
    container, frames = recv(requests)
    assert frames == [i32(NEW_CONTAINER), b"m", b"1", str(code).encode("ascii")], frames
    send(requests, container, i32(CONNECTION))
    for message_id, inputs in batches(code):
        start = time.time()
        send(requests, container, *request(code, message_id, inputs))
        _, (connection, kind, response_id, output_type, length, block, received, sent) = recv(responses)
        assert (connection, kind, response_id) == (i32(CONNECTION), i32(CONTENT), i32(message_id))
        check(code, inputs, output_type, length, block)
        times = [struct.unpack("<d", time)[0] / 1e6 for time in (received, sent)]
        # The wall clock may have been adjusted slightly since the model server started.
        assert start - 1 <= times[0] <= times[1] <= time.time() + 1, times
    # The model server sends nothing except its registration by this port.
    assert not requests.poll(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
