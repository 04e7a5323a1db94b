"""TPM 2.0 commands as bytes, and places to send them to: a vtpm-stubdom behind its Unix twins, a kernel's device, and a swtpm."""
import hashlib
import hmac
import mmap
import os
import select
import socket
import struct
import time

PAGE, HEADER = 4096, 8
SUBMIT, FINISH, CANCEL = 1, 2, 3  # the page's states
SECONDS = 60


def u8(n):
    return struct.pack(">B", n)


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n & 0xFFFFFFFF)


def u64(n):
    return struct.pack(">Q", n)


sized = set()  # what b2() has made: so a command's size fields are found again


def b2(data=b""):
    """A TPM2B."""
    whole = u16(len(data)) + data
    sized.add(whole)
    return whole


def command(code, body=b"", tag=0x8001):
    return u16(tag) + u32(10 + len(body)) + u32(code) + body


class Guest:
    """What xen-tpmfront is to a vtpm-stubdom (vtpm-stubdom/port.h)."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(port)
        ring = os.memfd_create("ring")
        os.ftruncate(ring, PAGE)
        self.page = mmap.mmap(ring, PAGE)
        self.to_backend, self.to_us = os.eventfd(0), os.eventfd(0)
        self.say(3, [ring, self.to_backend, self.to_us])
        while struct.unpack("=I", self.socket.recv(4))[0] != 4:
            pass
        self.say(4)

    def say(self, state, fds=()):
        socket.send_fds(self.socket, [struct.pack("=iII", state, 8, 1)], list(fds))

    def submit(self, data, locality=0, length=None):
        """Put a command into the page, which says @length where the command has another."""
        data = data[: PAGE - HEADER]
        self.page[HEADER : HEADER + len(data)] = data
        self.page[:HEADER] = struct.pack("=IBBBB", len(data) if length is None else length, SUBMIT, locality, 0, 0)
        os.eventfd_write(self.to_backend, 1)

    def cancel(self):
        """Give up what was submitted."""
        self.page[4] = CANCEL
        os.eventfd_write(self.to_backend, 1)

    def is_busy(self):
        return self.page[4] in (SUBMIT, CANCEL)

    def answer(self, seconds=SECONDS):
        """The response, empty if it was cancelled; None: there is none within @seconds."""
        end = time.monotonic() + seconds
        while self.is_busy():
            if not select.select([self.to_us], [], [], max(0, end - time.monotonic()))[0]:
                return None
            os.eventfd_read(self.to_us)
        n = struct.unpack("=I", self.page[:4])[0] if self.page[4] == FINISH else 0
        return bytes(self.page[HEADER : HEADER + n])

    def send(self, data, locality=0, length=None):
        """One command and its response."""
        self.submit(data, locality, length)
        response = self.answer()
        if response is None:
            raise TimeoutError("no answer of the stub domain to " + data.hex())
        return response


class Swtpm:
    """A swtpm on Unix sockets that was not initialised yet. Its buffer is made as large as what the shared page holds."""

    def __init__(self, data, control):
        self.control = self.connect(control)
        self.ask(0x11, u32(PAGE - HEADER), 16)  # CMD_SET_BUFFERSIZE
        self.ask(0x02, u32(0), 4)  # CMD_INIT
        self.data = self.connect(data)
        self.locality = 0
        self.send(command(0x144, u16(0)))  # Startup: the stub domain does that by itself

    @staticmethod
    def connect(path):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(SECONDS)
        s.connect(path)
        return s

    def ask(self, code, data, size):
        self.control.sendall(u32(code) + data)
        answer = self.control.recv(size)
        if answer[:4] != u32(0):
            raise OSError("swtpm's control channel refuses %x: %s" % (code, answer.hex()))

    def send(self, data, locality=0):
        if locality != self.locality:
            self.ask(0x05, u8(locality), 4)  # CMD_SET_LOCALITY
            self.locality = locality
        self.data.sendall(data)
        return self.data.recv(PAGE)


NOT_SENT = u16(0) + u32(10) + u32(0xFFFFFFFF)  # the answer to what never reaches a TPM behind Linux's driver


def passes_kernel(data, locality):
    """What Linux sends of it (drivers/char/tpm): as much as its header says, or nothing."""
    size = int.from_bytes(data[2:6], "big")
    return data[:size] if locality == 0 and 10 <= size <= len(data) <= PAGE - HEADER else None


class Device:
    """A TPM's character device."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)

    def send(self, data, locality=0):
        if passes_kernel(data, locality) is None:
            return NOT_SENT
        os.write(self.fd, data)
        return os.read(self.fd, PAGE)


class BehindKernel:
    """Another place that is sent what a device would be, and again what it answers by TPM_RC_RETRY, as the driver does."""

    def __init__(self, where):
        self.where = where

    def send(self, data, locality=0):
        passed = passes_kernel(data, locality)
        if passed is None:
            return NOT_SENT
        answer = self.where.send(passed)
        return answer if answer[6:10] != u32(0x922) else self.send(data)


class Password:
    """An authorisation by password."""

    def __init__(self, value=b""):
        self.value = value

    def block(self, code, names, params):
        return u32(0x40000009) + b2() + u8(0) + b2(self.value)

    def heard(self, nonce):
        pass


class Policy(Password):
    """An authorisation by a policy session that asks for no HMAC, and is used up."""

    def __init__(self, handle):
        self.handle = handle

    def block(self, code, names, params):
        return u32(self.handle) + b2() + u8(0) + b2()


class Hmac(Password):
    """An HMAC session on SHA-256, neither bound nor salted: it authorises with @value, or audits only."""

    def __init__(self, handle, nonce, value=b"", attributes=0x01):
        self.handle, self.nonce, self.value, self.attributes = handle, nonce, value, attributes

    def block(self, code, names, params):
        ours, attributes = os.urandom(32), u8(self.attributes)
        digest = hashlib.sha256(u32(code) + b"".join(names) + params).digest()
        mac = hmac.new(self.value, digest + ours + self.nonce + attributes, hashlib.sha256).digest()
        return u32(self.handle) + b2(ours) + attributes + b2(mac)

    def heard(self, nonce):
        self.nonce = nonce


class Reader:
    """Reads a response's fields one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError("the response ends at byte %d: %s" % (self.at, self.data.hex()))
        self.at += n
        return self.data[self.at - n : self.at]

    def take16(self):
        return struct.unpack(">H", self.take(2))[0]

    def take32(self):
        return struct.unpack(">I", self.take(4))[0]

    def take2(self):
        return self.take(self.take16())

    def rest(self):
        return self.take(len(self.data) - self.at)
