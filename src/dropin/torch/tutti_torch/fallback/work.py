"""An operation under way, as PyTorch sees it."""

import datetime
import threading

import torch
import torch.distributed as dist

_NO_TIME = datetime.timedelta(0)  # PyTorch's word for "as long as it takes"


class Work(dist._Work):
    """`outputs` are what it writes. Where it does not end by itself, wait() lasts `at_most` seconds, and withdraw() ends it, unless it has just
    found what it waits for.
    """

    def __init__(self, operation, outputs, at_most=None, withdraw=None):
        super().__init__()
        self._operation, self._outputs, self._at_most, self._withdraw = operation, outputs, at_most, withdraw
        self._ended = threading.Event()
        self._lock = threading.Lock()  # guards what follows
        self._error = self._source = self._future = None

    def done(self, error=None, source=None):
        """It has ended, with an exception or without one. `source`: whom a message from anyone was from."""
        with self._lock:
            self._error, self._source = error, source
            self._ended.set()
            settle = self._future
        # Callbacks of a future may wait for other operations of the group, which the thread that has done this one is to do.
        if settle:
            threading.Thread(target=settle[0].set_result, args=(None,), name="tutti future", daemon=True).start()

    def wait(self, timeout=_NO_TIME):
        own = timeout == _NO_TIME
        seconds = self._at_most if own else timeout.total_seconds()
        if not self._ended.wait(seconds):
            if not own or self._withdraw is None or self._withdraw():
                raise dist.DistBackendError(f"tutti: {self._operation}: not done after {seconds * 1000:.0f} ms")
            self._ended.wait()  # it has just come
        if self._error is not None:
            raise self._error
        return True

    def is_completed(self):
        return self._ended.is_set()

    def is_success(self):
        return self._ended.is_set() and self._error is None

    def exception(self):
        return self._error

    def source_rank(self):
        if self._source is None:
            raise RuntimeError("tutti: only a message from any rank that has arrived says whom it is from")
        return self._source

    def result(self):
        return self._outputs

    def synchronize(self):
        pass

    def get_future(self):
        if _asked.works is not None:
            _asked.works.append(self)
            return _nothing
        with self._lock:
            if self._future is None:
                end = torch.futures.Future()
                # What a callback raises is the only error that other threads and C++ find in a future.
                self._future = end, end.then(self._value)
                if self._ended.is_set():
                    end.set_result(None)
            return self._future[1]

    def _value(self, _):
        if self._error is not None:
            raise self._error
        return self._outputs


class AllOf(Work):
    """Several operations that are waited for together."""

    def __init__(self, works):
        super().__init__("together", [tensor for work in works for tensor in work.result()])
        self._works = works
        if not works:
            self.done()

    def wait(self, timeout=_NO_TIME):
        return all([work.wait(timeout) for work in self._works])

    def is_completed(self):
        return all(work.is_completed() for work in self._works)

    def is_success(self):
        return all(work.is_success() for work in self._works)

    def exception(self):
        return next((work.exception() for work in self._works if work.exception() is not None), None)

    def get_future(self):
        if _asked.works is not None or not self._works:
            return super().get_future()

        def outputs(each):
            for future in each.value():
                future.value()  # raises if it has failed
            return self._outputs

        return torch.futures.collect_all([work.get_future() for work in self._works]).then(outputs)


# ---- PyTorch's holder of a work that was made in Python

_nothing = torch.futures.Future()
_nothing.set_result(None)


class _Asked(threading.local):
    works = None


_asked = _Asked()


def _behind(holder):
    """The work of this package that PyTorch holds there, or None."""
    _asked.works = []
    try:
        holder.get_future()
        return _asked.works[0] if _asked.works else None
    except RuntimeError:  # another backend's, without futures
        return None
    finally:
        _asked.works = None


def stand_behind_holders():
    """Has PyTorch ask works of this package what they know.

    What a backend written in Python returns reaches the caller inside of a holder, which forwards wait() and get_future() to it, and nothing else:
    it would never be completed, and recv() from anyone would not learn whom a message is from (PyTorch 2.15). Works of other backends answer as
    before.
    """
    for name in ("is_completed", "is_success", "exception", "result", "source_rank", "_source_rank"):
        _forward(name)


def _forward(name):
    base, own = getattr(dist._Work, name), getattr(Work, name.lstrip("_"))

    def forwarded(work):
        behind = _behind(work) if type(work) is dist._Work else None
        return base(work) if behind is None else own(behind)

    forwarded.__name__ = name
    setattr(dist._Work, name, forwarded)
