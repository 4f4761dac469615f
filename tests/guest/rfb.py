"""A VNC client for tests: RFC 6143 with raw rectangles, over TCP or a WebSocket (RFC 6455)."""
import base64
import hashlib
import os
import socket
import struct


class Plain:
    def __init__(self, address):
        self.socket = socket.create_connection(address, 60)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    def close(self):
        self.socket.close()


class WebSocket(Plain):
    def __init__(self, address):
        super().__init__(address)
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Protocol: binary\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: " + key + b"\r\n\r\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += super().receive(1)
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key + guid).digest())
        assert b" 101 " in answer.split(b"\r\n")[0] and accept in answer, answer
        self.rest = b""

    def send(self, data):
        mask = os.urandom(4)
        head = struct.pack("!BB", 0x82, 0x80 | len(data)) if len(data) < 126 else \
            struct.pack("!BBH", 0x82, 0xFE, len(data))
        self.socket.sendall(head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def receive(self, count):
        while len(self.rest) < count:
            opcode, length = super().receive(2)
            if length == 126:
                (length,) = struct.unpack("!H", super().receive(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", super().receive(8))
            assert opcode in (0x82, 0x02, 0x80), opcode  # binary, or a part of it
            self.rest += super().receive(length)
        data, self.rest = self.rest[:count], self.rest[count:]
        return data


class Client:
    """Chooses no security; 32 bits, blue first."""

    def __init__(self, connection):
        self.link = connection
        assert self.link.receive(12) == b"RFB 003.008\n"
        self.link.send(b"RFB 003.008\n")
        (count,) = self.link.receive(1)
        self.security = list(self.link.receive(count))
        if self.security != [1]:
            return
        self.link.send(b"\1")
        assert self.link.receive(4) == bytes(4)
        self.start()

    def start(self):
        self.link.send(b"\1")  # shared
        self.width, self.height = struct.unpack("!HH", self.link.receive(4))
        self.link.receive(16)
        (length,) = struct.unpack("!I", self.link.receive(4))
        self.name = self.link.receive(length).decode()
        self.link.send(struct.pack("!B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.link.send(struct.pack("!BxHii", 2, 2, 0, -223))  # raw, DesktopSize
        self.clear()

    def clear(self):
        self.rows = [bytearray(4 * self.width) for _ in range(self.height)]

    def key(self, keysym, down):
        self.link.send(struct.pack("!BBxxI", 4, down, keysym))

    def pointer(self, buttons, x, y):
        self.link.send(struct.pack("!BBHH", 5, buttons, x, y))

    def update(self, incremental):
        """Asks for what changed, and waits for it; the rectangles that came."""
        self.link.send(struct.pack("!BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        while True:
            (kind,) = self.link.receive(1)
            if kind == 0:
                break
            assert kind == 2, kind  # a bell
        (count,) = struct.unpack("!xH", self.link.receive(3))
        return [self.rectangle() for _ in range(count)]

    def rectangle(self):
        x, y, width, height, encoding = struct.unpack("!HHHHi", self.link.receive(12))
        if encoding == -223:
            self.width, self.height = width, height
            self.clear()
        else:
            assert encoding == 0, encoding
            for line in range(y, y + height):
                self.rows[line][4 * x : 4 * (x + width)] = self.link.receive(4 * width)
        return x, y, width, height

    def picture(self):
        rows = []
        for row in self.rows:
            rgb = bytearray(3 * self.width)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            rows.append(bytes(rgb))
        return self.width, rows

    def close(self):
        self.link.close()
