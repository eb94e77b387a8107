"""A client that has its keys from pyzmq: `create FOLDER NAME` makes them, `ask FOLDER NAME SERVER PORT` asks for an id.

As pyzmq's own example of CURVE does it (zmq.auth, examples/security).
"""

import os
import sys

import zmq
import zmq.auth


def create(folder, name):
    zmq.auth.create_certificates(folder, name)


def ask(folder, name, server, port):
    public, secret = zmq.auth.load_certificate(os.path.join(folder, name + ".key_secret"))
    known, _ = zmq.auth.load_certificate(server)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.curve_publickey, socket.curve_secretkey = public, secret
    socket.curve_serverkey = known
    socket.connect("tcp://127.0.0.1:" + port)
    socket.send_multipart([b"", b""])
    assert socket.poll(10_000), "no id within 10 s"
    print(len(socket.recv_multipart()))


if __name__ == "__main__":
    {"create": create, "ask": ask}[sys.argv[1]](*sys.argv[2:])
