"""A CURVE client with keys of pyzmq: `create FOLDER NAME` writes them, `connect FOLDER NAME SERVER PORT` requests a client id.

It follows pyzmq's example of CURVE (zmq.auth, examples/security).
"""

import os
import sys

import zmq
import zmq.auth


def create(folder, name):
    zmq.auth.create_certificates(folder, name)


def connect(folder, name, server, port):
    public, secret = zmq.auth.load_certificate(os.path.join(folder, name + ".key_secret"))
    server_key, _ = zmq.auth.load_certificate(server)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.curve_publickey, socket.curve_secretkey = public, secret
    socket.curve_serverkey = server_key
    socket.connect("tcp://127.0.0.1:" + port)
    socket.send_multipart([b"", b""])
    assert socket.poll(10_000), "no client id within 10 s"
    print(len(socket.recv_multipart()))


if __name__ == "__main__":
    {"create": create, "connect": connect}[sys.argv[1]](*sys.argv[2:])
