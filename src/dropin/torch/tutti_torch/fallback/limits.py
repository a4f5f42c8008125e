"""Limits of time for calls into the library, which themselves wait as long as it takes."""

import os
import threading
import time

_LOOK_S = 0.05


class Limit:
    """While it is entered: calls `late` when so many seconds are over, and `long`, once, when a good part of them is. Both run in threads of
    their own.
    """

    LONG_S = 1.0

    __slots__ = ("_seconds", "_late", "_long", "_end", "_long_at")

    def __init__(self, seconds, late, long=None):
        self._seconds, self._late, self._long = seconds, late, long

    def __enter__(self):
        now = time.monotonic()
        self._end = now + self._seconds
        self._long_at = now + min(self.LONG_S, self._seconds / 4)
        _clock.add(self)
        return self

    def __exit__(self, *_):
        _clock.remove(self)

    def look(self, now):
        if self._long is not None and now >= self._long_at:
            self._start(self._long)
            self._long = None
        if now >= self._end:
            self._start(self._late)
            _clock.remove(self)

    @staticmethod
    def _start(target):
        threading.Thread(target=target, name="tutti late", daemon=True).start()


class _Clock:
    """A thread of the process. It sleeps where there was nothing to look at."""

    def __init__(self):
        self._limits, self._asleep, self._woken = set(), False, threading.Event()
        self._starting, self._thread = threading.Lock(), None

    def add(self, limit):
        self._limits.add(limit)
        if self._asleep:
            self._woken.set()
        elif self._thread is None:
            self._start()

    def remove(self, limit):
        self._limits.discard(limit)

    def _start(self):
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="tutti clock", daemon=True)
                self._thread.start()

    def _loop(self):
        while True:
            time.sleep(_LOOK_S)
            now = time.monotonic()
            for limit in self._limits.copy():
                limit.look(now)
            self._woken.clear()
            self._asleep = True
            if not self._limits:
                self._woken.wait()
            self._asleep = False


_clock = _Clock()


def _start_anew():
    global _clock
    _clock = _Clock()


os.register_at_fork(after_in_child=_start_anew)
