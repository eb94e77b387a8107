"""Shared by the containers and clients: element types, inputs, and the model's output for each."""

import os
import struct
import sys
import threading

BYTES, INTS, FLOATS, DOUBLES, STRINGS = range(5)
CODES = {"bytes": BYTES, "integers": INTS, "floats": FLOATS, "doubles": DOUBLES, "strings": STRINGS}
ELEMENTS = {BYTES: "B", INTS: "i", FLOATS: "f", DOUBLES: "d"}


def pack(code, value):
    """Returns the bytes of a list of numbers, or of a text."""
    if code == STRINGS:
        return value.encode("utf-8")
    return struct.pack("<%d%s" % (len(value), ELEMENTS[code]), *value)


def unpack(code, data):
    """Returns the list of numbers, or the text, with these bytes."""
    if code == STRINGS:
        return data.decode("utf-8")
    size = struct.calcsize(ELEMENTS[code])
    return list(struct.unpack("<%d%s" % (len(data) // size, ELEMENTS[code]), data))


def make_input(code, number):
    """Returns the input of the query with this number: one to five elements."""
    length = number % 5 + 1
    if code == STRINGS:
        return "q\u00fcery %d " % number + "x" * length
    if code in (FLOATS, DOUBLES):
        return [number + index / 2 for index in range(length)]
    return [(number + index) % 256 for index in range(length)]


HANGING = [-1.0]


def model_output(value):
    """Returns the model's output: the input reversed. For HANGING it prints a line and computes forever."""
    if value == HANGING:
        print("computing", flush=True)
        threading.Event().wait()
    return value[::-1]


def output_code(code):
    """Returns the output type in the older generations, which have no doubles."""
    return FLOATS if code == DOUBLES else code


def end_with_stdin():
    """Ends this process when its standard input ends, which is when the parent exits."""

    def wait():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
