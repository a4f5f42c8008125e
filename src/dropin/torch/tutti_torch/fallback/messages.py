"""Messages between two ranks: send and recv with their tags, and recv from anyone.

A collective call and a message must not wait for each other, and neither must messages of different directions or tags. So each direction between
two ranks has a connection (a communicator of two) for each tag that is used, made when both sides first use it, and a thread that does one message
after the other. A header goes before each message: its size, for errors that show both sides, and as the sign that there is one, for whoever
receives from anyone.
"""

import ctypes
import threading

import torch.distributed as dist

from . import c_interface
from .limits import Limit
from .meeting import Failed, meet
from .worker import Worker

_SENDER, _RECEIVER = 0, 1  # their ranks in the communicator of two
_FOREVER_S = 1e9
_MAGIC = 0x7475747469707472


class _Header(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_uint64), ("bytes", ctypes.c_uint64)]


class _Channel:
    """One direction, and one tag."""

    def __init__(self, source, to, tag):
        self.source, self.to, self.tag = source, to, tag
        self.worker, self.lock = Worker(), threading.Lock()
        self.pair = None  # of the sender and the receiver; used by the worker, aborted by others
        self.waiting = None  # bytes of a message that nobody has received
        self.failure = None  # why there can be no more

    def __str__(self):
        return f"from rank {self.source} to rank {self.to}, tag {self.tag}"

    def transfer(self, seconds, transfer, data, bytes):
        """A call on the pair, which ends when it has taken so long."""
        if self.failure:
            raise Failed(f"this way has failed before: {self.failure}")

        def too_late():
            self.end(f"nothing has come or gone within {seconds:g} s")

        try:
            with Limit(seconds, too_late):
                transfer(data, bytes, _RECEIVER if transfer == self.pair.send_memory else _SENDER)
        except c_interface.Error as error:
            self.failure = self.failure or str(error)
            raise Failed(self.failure) from None

    def end(self, reason):
        with self.lock:
            self.failure = self.failure or reason
            if self.pair is not None:
                self.pair.abort()


class FromAnyone:
    """A message that is received from whichever rank sends one first."""

    def __init__(self, tensor, operation_timed_out):
        self.lock = threading.Lock()
        self.work, self.tensor = None, tensor  # until a message has been found for it, or it has failed
        self.open = 0  # connections that may still find one
        self._timed_out = operation_timed_out

    def taken(self):
        with self.lock:
            return self.work is None

    def withdraw(self):
        """Whether nothing was found until now: then it is over."""
        with self.lock:
            work, self.work, self.tensor = self.work, None, None
        if work is not None:
            work.done(self._timed_out("no rank has sent a message in time"))
        return work is not None


class Messages:
    """`seconds` tells how long a message may take. `failed(operation, text)` makes the exception of an error."""

    def __init__(self, store, rank, size, seconds, failed):
        self._store, self._rank, self._size, self._seconds, self._failed = store, rank, size, seconds, failed
        self._closed = threading.Event()
        self._lock = threading.Lock()  # guards what follows
        self._channels, self._own_store = {}, None

    def send(self, work, tensor, to, tag):
        self._push(self._channel(self._rank, to, tag), "send", self._send, work, tensor)

    def recv(self, work, tensor, source, tag):
        self._push(self._channel(source, self._rank, tag), "recv", self._recv, work, tensor)

    def recv_from_anyone(self, request, tag):
        """Each connection looks for a message, and the first one that finds one receives it. Those that find one later keep it for whoever
        receives there next.
        """
        request.open = self._size - 1
        for source in range(self._size):
            if source != self._rank:
                channel = self._channel(source, self._rank, tag)
                channel.worker.push(lambda channel=channel: self._look_for_anyone(channel, request))

    def close(self, reason):
        """Ends all that waits, with this reason."""
        self._closed.set()
        with self._lock:
            channels = list(self._channels.values())
        for channel in channels:
            channel.end(reason)
            channel.worker.stop()

    def _channel(self, source, to, tag):
        with self._lock:
            channel = self._channels.get((source, to, tag))
            if channel is None:
                channel = self._channels[source, to, tag] = _Channel(source, to, tag)
            return channel

    def _push(self, channel, operation, transfer, work, tensor):
        channel.worker.push(lambda: work.done(self._attempt(channel, operation, lambda: transfer(channel, tensor)), channel.source))

    def _attempt(self, channel, operation, transfer):
        """The exception that it ends with, or None."""
        try:
            transfer()
        except Exception as error:  # of the library, of PyTorch's store, and of memory that is short
            return self._failed(operation, f"{channel}: {error}")

    def _store_of_its_own(self):
        """Others wait at the group's store, which serves one of them at a time."""
        with self._lock:
            if self._own_store is None:
                self._own_store = self._store.clone()
            return self._own_store

    def _open(self, channel, given_up=lambda: False):
        if channel.pair is not None:
            return
        rank = _SENDER if self._rank == channel.source else _RECEIVER
        key = f"messages/{channel.source}-{channel.to}/{channel.tag}"
        try:
            pair = meet(self._store_of_its_own(), key, rank, 2, self._seconds(), lambda: self._closed.is_set() or given_up())
        except Failed as error:
            raise Failed(f"waiting for rank {channel.to if rank == _SENDER else channel.source}: {error}") from None
        with channel.lock:
            channel.pair = pair
            if self._closed.is_set():
                pair.abort()

    def _send(self, channel, tensor):
        self._open(channel)
        header = _Header(_MAGIC, tensor.nbytes)
        channel.transfer(self._seconds(), channel.pair.send_memory, ctypes.addressof(header), ctypes.sizeof(header))
        if tensor.nbytes:
            channel.transfer(self._seconds(), channel.pair.send_memory, tensor.data_ptr(), tensor.nbytes)

    def _recv(self, channel, tensor):
        self._open(channel)
        self._take_header(channel, self._seconds())
        self._take_payload(channel, tensor)

    def _take_header(self, channel, seconds):
        if channel.waiting is not None:
            return
        header = _Header()
        channel.transfer(seconds, channel.pair.receive_memory, ctypes.addressof(header), ctypes.sizeof(header))
        if header.magic != _MAGIC:
            raise Failed("what was received is no message of a process group")
        channel.waiting = header.bytes

    def _take_payload(self, channel, tensor):
        """A message of another size is received all the same, that the next one is received rightly."""
        bytes, channel.waiting = channel.waiting, None
        fits = bytes == tensor.nbytes
        instead = None if fits else ctypes.create_string_buffer(max(bytes, 1))
        if bytes:
            channel.transfer(self._seconds(), channel.pair.receive_memory, tensor.data_ptr() if fits else ctypes.addressof(instead), bytes)
        if not fits:
            raise Failed(f"rank {channel.source} has sent {bytes} bytes, and rank {self._rank} receives {tensor.nbytes} (tag {channel.tag})")

    def _look_for_anyone(self, channel, request):
        if request.taken():
            return

        def look():
            self._open(channel, request.taken)
            self._take_header(channel, _FOREVER_S)

        error = self._attempt(channel, "recv", look)
        with request.lock:
            if error is not None:
                request.open -= 1
            if request.work is None or (error is not None and request.open > 0):
                return
            work, tensor, request.work, request.tensor = request.work, request.tensor, None, None
        if error is None:
            error = self._attempt(channel, "recv", lambda: self._take_payload(channel, tensor))
        work.done(error, channel.source)
