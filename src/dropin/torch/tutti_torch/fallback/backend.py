"""A process group's backend: PyTorch's operations as calls on a communicator of the library.

An operation that the caller waits for at once runs in its own thread. Others are done in order by a thread of the group. Messages have ways of
their own (messages.py).
"""

import datetime
import threading
import time

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Backend as PyTorchs
from torch._C._distributed_c10d import ErrorType

from . import c_interface
from .limits import Limit
from .meeting import Failed, meet_group
from .messages import FromAnyone, Messages
from .reductions import reduction
from .tensors import Flat, check_contiguous, check_count, check_same_type, only, parts, put_back, to_change, to_read, to_write
from .work import AllOf, Work
from .worker import Worker

_UNSET = datetime.timedelta(milliseconds=-1)  # an operation without a timeout of its own


def _bounded(seconds):
    """Longer ones are for ever, and would not fit clocks. Negative ones come from longer ones yet: PyTorch's conversion overflows."""
    if seconds == 0:
        raise ValueError("tutti: a timeout of 0 s; it has to be positive")
    return min(seconds, 1e9) if seconds > 0 else 1e9


class Backend(PyTorchs):
    def __init__(self, store, rank, size, seconds):
        super().__init__(rank, size)
        self._rank, self._size = rank, size
        self._options = PyTorchs.Options("tutti", datetime.timedelta(seconds=seconds))
        self._seconds = _bounded(seconds)
        try:
            self._communicator, self._store = meet_group(store, rank, size, seconds)
        except (Failed, c_interface.Error) as error:
            raise dist.DistBackendError(f"tutti: making a process group of {size} ranks on rank {rank}: {error}") from None
        self._messages = Messages(self._store, rank, size, lambda: self._seconds, self._error)
        self._worker = Worker()
        self._running = threading.Lock()  # one call at a time
        self._failure = None  # why the group can do no more
        self._sequence = self._barriers = 0
        self._under_way = None  # the sequence number of a call
        self._coalescing, self._coalesced = threading.Lock(), None  # works between start and end

    # ---- Doing calls

    def _error(self, operation, text):
        return dist.DistBackendError(f"tutti: {operation} on rank {self._rank}: {text}")

    def _issue(self, operation, options, outputs, calls):
        """calls() does the operation."""
        own = options.timeout
        seconds = self._seconds if own == _UNSET else own.total_seconds()
        # PyTorch compares it between ranks, so it is the number of those that were issued, whatever is done by now.
        self._sequence += 1
        sequence = self._sequence
        if not options.asyncOp and self._worker.idle():
            self._run(operation, sequence, seconds, calls)
            return None  # it is over
        work = Work(operation, outputs)
        inference = torch.is_inference_mode_enabled()

        def task():
            # Tensors that were made in this mode can be written in it only.
            with torch.inference_mode(inference):
                try:
                    self._run(operation, sequence, seconds, calls)
                    error = None
                except Exception as raised:  # the group's error, or what a copy of tensors says
                    error = raised
            work.done(error)

        self._worker.push(task)
        return self._kept(work)

    def _run(self, operation, sequence, seconds, calls):
        with self._running:
            if self._failure:
                raise self._error(operation, f"this process group has failed before: {self._failure}")
            self._under_way = sequence
            try:
                with Limit(seconds, lambda: self._end_late(sequence, seconds), lambda: self._tell_that_it_waits(sequence)):
                    calls()
            except c_interface.Error as error:
                if error.result == c_interface.INVALID_ARGUMENT and not self._failure:
                    raise ValueError(f"tutti: {operation}: {error}") from None
                self._failure = f"{self._failure}: {error}" if self._failure else str(error)
                raise self._error(operation, self._failure) from None
            except Exception as error:
                self._fail(str(error))  # the others would wait for this rank
                raise
            finally:
                self._under_way = None

    def _fail(self, reason):
        """Ends what is under way; there can be no more."""
        self._failure = self._failure or reason
        self._communicator.abort()

    # ---- Who is late. The library's text does not say it of a call that was ended from outside, so ranks that wait for long say so in the store.

    def _tell_that_it_waits(self, sequence):
        try:
            self._store.clone().set(f"waits/{self._rank}", str(sequence))
        except RuntimeError:  # the store has gone; then the error will not name ranks
            pass

    def _end_late(self, sequence, seconds):
        missing = self._missing(sequence)
        if self._under_way == sequence:  # it has not just been done
            self._fail(f"not done after {seconds:g} s, {missing}")

    def _missing(self, sequence):
        try:
            store = self._store.clone()
            late = [str(rank) for rank in range(self._size) if rank != self._rank and not self._waits(store, rank, sequence)]
        except RuntimeError as error:
            return f"waiting for other ranks (PyTorch's store does not tell which: {error})"
        return f"waiting for rank{'s' * (len(late) > 1)} {', '.join(late)}, as PyTorch's store tells" if late else "with all ranks waiting"

    @staticmethod
    def _waits(store, rank, sequence):
        key = f"waits/{rank}"
        return store.check([key]) and int(store.get(key)) >= sequence

    # ---- Collectives

    def _one_list(self, operation, what, lists):
        """The only list, which has a tensor for each rank."""
        check_count(operation, f"lists of {what}", len(lists), 1)
        check_count(operation, what, len(lists[0]), self._size)
        return lists[0]

    def broadcast(self, tensors, options):
        tensor = only("broadcast", tensors)
        dense = to_change("broadcast", tensor)

        def calls():
            self._communicator.broadcast(dense, options.rootRank)
            put_back(dense, tensor)

        return self._issue("broadcast", options, tensors, calls)

    def allreduce(self, tensors, options):
        only("all_reduce", tensors)
        return self.allreduce_coalesced(tensors, options)

    def allreduce_coalesced(self, tensors, options):
        all = [to_change("all_reduce", tensor) for tensor in tensors]
        for tensor in tensors:
            check_same_type("all_reduce", tensors[0], tensor)
        way = reduction("all_reduce", options.reduceOp, tensors[0].dtype)

        def calls():
            for dense, tensor in zip(all, tensors):
                way.all_reduce(self._communicator, dense)
                put_back(dense, tensor)

        return self._issue("all_reduce", options, tensors, calls)

    def reduce(self, tensors, options):
        tensor, root = only("reduce", tensors), options.rootRank
        dense, way = to_change("reduce", tensor), reduction("reduce", options.reduceOp, tensor.dtype)

        def calls():
            way.reduce(self._communicator, dense, root)
            put_back(dense, tensor)

        return self._issue("reduce", options, tensors, calls)

    def allgather(self, outputs, inputs, options):
        input, each = only("all_gather", inputs), self._one_list("all_gather", "outputs", outputs)
        return self._issue("all_gather", options, each, self._gathering_list("all_gather", each, input))

    def allgather_coalesced(self, outputs, inputs, options):
        check_count("all_gather", "lists of outputs", len(outputs), len(inputs))
        all = [self._gathering_list("all_gather", self._one_list("all_gather", "outputs", [each]), input) for each, input in zip(outputs, inputs)]
        return self._issue("all_gather", options, [tensor for each in outputs for tensor in each], lambda: [calls() for calls in all])

    def _gathering_list(self, operation, each, input):
        input = to_read(operation, input)
        check_same_type(operation, input, each[0])
        check_count(operation, "elements of this rank's output", each[self._rank].numel(), input.numel())
        whole = Flat(operation, each, written=True)
        if not whole.equal:

            def uneven():
                self._communicator.exchange([input.view(-1)] * self._size, whole.parts())
                whole.spread()

            return uneven

        def calls():
            self._communicator.all_gather(input, whole.whole)
            whole.spread()

        return calls

    def all_gather_single(self, output, input, options):
        return self.all_gather_single_coalesced([output], [input], options)

    def all_gather_single_coalesced(self, outputs, inputs, options):
        name = "all_gather_into_tensor"
        check_count(name, "outputs", len(outputs), len(inputs))
        sides = []
        for output, input in zip(outputs, inputs):
            check_same_type(name, input, output)
            check_count(name, "elements of output", output.numel(), input.numel() * self._size)
            sides.append((to_read(name, input), to_write(name, output), output))

        def calls():
            for input, room, output in sides:
                self._communicator.all_gather(input, room)
                put_back(room, output)

        return self._issue(name, options, outputs, calls)

    def gather(self, outputs, inputs, options):
        input, root = to_read("gather", only("gather", inputs)), options.rootRank
        if self._rank != root:
            check_count("gather", "lists of outputs (only the root has some)", len(outputs), 0)
            return self._issue("gather", options, [], lambda: self._communicator.gather(input, None, root))
        each = self._one_list("gather", "outputs", outputs)
        for output in each:
            check_count("gather", "elements of an output", output.numel(), input.numel())
        check_same_type("gather", input, each[0])
        whole = Flat("gather", each, written=True)

        def calls():
            self._communicator.gather(input, whole.whole, root)
            whole.spread()

        return self._issue("gather", options, each, calls)

    def scatter(self, outputs, inputs, options):
        output, root = only("scatter", outputs), options.rootRank
        room = to_write("scatter", output)

        def calls(whole=None):
            self._communicator.scatter(whole, room, root)
            put_back(room, output)

        if self._rank != root:
            check_count("scatter", "lists of inputs (only the root has some)", len(inputs), 0)
            return self._issue("scatter", options, outputs, calls)
        each = self._one_list("scatter", "inputs", inputs)
        for input in each:
            check_count("scatter", "elements of an input", input.numel(), output.numel())
        check_same_type("scatter", output, each[0])
        whole = Flat("scatter", each, written=False)

        def at_root():
            whole.fill()
            calls(whole.whole)

        return self._issue("scatter", options, outputs, at_root)

    def reduce_scatter(self, outputs, inputs, options):
        name = "reduce_scatter"
        output, each = only(name, outputs), self._one_list(name, "inputs", inputs)
        room = to_write(name, output)
        check_same_type(name, output, each[0])
        check_count(name, "elements of output", output.numel(), each[self._rank].numel())
        whole, way = Flat(name, each, written=False), reduction(name, options.reduceOp, output.dtype)

        def calls():
            whole.fill()
            if whole.equal:
                way.reduce_scatter(self._communicator, whole.whole, room)
            else:
                way.reduce_parts(self._communicator, whole.parts(), room)
            put_back(room, output)

        return self._issue(name, options, outputs, calls)

    def reduce_scatter_single(self, output, input, options):
        return self.reduce_scatter_single_coalesced([output], [input], options)

    def reduce_scatter_single_coalesced(self, outputs, inputs, options):
        name = "reduce_scatter_tensor"
        check_count(name, "outputs", len(outputs), len(inputs))
        sides = []
        for output, input in zip(outputs, inputs):
            check_same_type(name, input, output)
            check_count(name, "elements of input", input.numel(), output.numel() * self._size)
            sides.append((reduction(name, options.reduceOp, input.dtype), to_read(name, input), to_write(name, output), output))

        def calls():
            for way, input, room, output in sides:
                way.reduce_scatter(self._communicator, input, room)
                put_back(room, output)

        return self._issue(name, options, outputs, calls)

    def all_to_all_single(self, output, input, output_splits, input_splits, options):
        name = "all_to_all_single"
        check_same_type(name, input, output)
        input, room = to_read(name, input), to_write(name, output)
        sent = parts(name, "input", input, input_splits, self._size)
        received = parts(name, "output", room, output_splits, self._size)
        uneven = input_splits or output_splits
        if not uneven:
            check_count(name, "elements of output", output.numel(), input.numel())

        def calls():
            if uneven:
                self._communicator.exchange(sent, received)
            else:
                self._communicator.all_to_all(input, room)
            put_back(room, output)

        return self._issue(name, options, [output], calls)

    def alltoall(self, outputs, inputs, options):
        check_count("all_to_all", "inputs", len(inputs), self._size)
        check_count("all_to_all", "outputs", len(outputs), self._size)
        for tensor in [*inputs, *outputs]:
            check_same_type("all_to_all", inputs[0], tensor)
        check_count("all_to_all", "elements of this rank's output", outputs[self._rank].numel(), inputs[self._rank].numel())
        sent, rooms = [to_read("all_to_all", input) for input in inputs], [to_write("all_to_all", output) for output in outputs]

        def calls():
            self._communicator.exchange(sent, rooms)
            for room, output in zip(rooms, outputs):
                put_back(room, output)

        return self._issue("all_to_all", options, outputs, calls)

    def barrier(self, options):
        token = torch.zeros(1, dtype=torch.uint8)
        return self._issue("barrier", options, [], lambda: self._communicator.all_reduce(token, 0))

    def monitored_barrier(self, options, wait_for_all):
        """Over the store, so that it tells of ranks even where calls of the group hang. Rank 0 says how it went."""
        seconds = self._seconds if options.timeout == _UNSET else options.timeout.total_seconds()
        self._barriers += 1
        key = f"monitored_barrier/{self._barriers}/"
        if self._rank == 0:
            verdict = self._await_others(key, seconds, wait_for_all)
            self._store.set(key + "verdict", verdict)
        else:
            self._store.set(key + str(self._rank), "here")
            told = self._comes(key + "verdict", seconds + 5)  # rank 0 gives it when its own time is up
            verdict = self._store.get(key + "verdict").decode() if told else "rank 0 has not come, or not found all others, in time"
        if verdict != "ok":
            raise self._error("monitored_barrier", verdict)

    def _await_others(self, key, seconds, all):
        end, missing = time.monotonic() + seconds, []
        for rank in range(1, self._size):
            if not self._comes(key + str(rank), end - time.monotonic()):
                missing.append(str(rank))
                if not all:
                    break
        if not missing:
            return "ok"
        return f"rank{'s' * (len(missing) > 1)} {', '.join(missing)} did not come within {seconds * 1000:.0f} ms"

    def _comes(self, key, seconds):
        """Whether the key is in the store within this time. A store says that it is not by an exception."""
        try:
            if not self._store.check([key]):
                self._store.wait([key], datetime.timedelta(seconds=max(seconds, 0.001)))
            return True
        except RuntimeError:
            return False

    # ---- Messages

    def _check_message(self, operation, rank, tag):
        self._check_tag(operation, tag)
        if not 0 <= rank < self._size or rank == self._rank:
            raise ValueError(f"tutti: {operation}: rank {self._rank} of {self._size} has no other rank {rank}")

    @staticmethod
    def _check_tag(operation, tag):
        if tag < 0:
            raise ValueError(f"tutti: {operation}: a tag is not negative, as {tag} is")

    def send(self, tensors, to, tag=0):
        tensor = only("send", tensors)
        check_contiguous("send", tensor)
        self._check_message("send", to, tag)
        work = Work("send", [])
        self._messages.send(work, tensor, to, tag)
        return self._kept(work)

    def recv(self, tensors, source, tag=0):
        tensor = only("recv", tensors)
        check_contiguous("recv", tensor)
        self._check_message("recv", source, tag)
        work = Work("recv", tensors)
        self._messages.recv(work, tensor, source, tag)
        return self._kept(work)

    def recv_anysource(self, tensors, tag=0):
        tensor = only("recv", tensors)
        check_contiguous("recv", tensor)
        self._check_tag("recv", tag)
        if self._size == 1:
            raise ValueError("tutti: recv: the group has no other rank")
        request = FromAnyone(tensor, lambda text: self._error("recv", text))
        request.work = work = Work("recv", tensors, self._seconds, request.withdraw)
        self._messages.recv_from_anyone(request, tag)
        return self._kept(work)

    # ---- Several together

    def _kept(self, work):
        with self._coalescing:
            if self._coalesced is not None:
                self._coalesced.append(work)
        return work

    @property
    def supports_coalescing(self):
        return True

    def start_coalescing(self):
        with self._coalescing:
            if self._coalesced is None:
                self._coalesced = []

    def end_coalescing(self):
        with self._coalescing:
            works, self._coalesced = self._coalesced or [], None
        return AllOf(works)

    # ---- Life

    def getBackendName(self):
        return "tutti"

    @property
    def options(self):
        return self._options

    def set_timeout(self, timeout):
        self._options._timeout = timeout
        self._seconds = _bounded(timeout.total_seconds())

    def eager_connect_single_device(self, device=None):
        pass

    def get_error(self):
        return ErrorType.COMM_ERROR if self._failure else ErrorType.SUCCESS

    def _get_sequence_number_for_group(self):
        return self._sequence

    def _set_sequence_number_for_group(self):
        pass

    def _wait_for_pending_works(self):
        self._worker.wait_until_idle()

    def abort(self):
        self._messages.close("the process group was aborted")
        self._fail("the process group was aborted")

    def shutdown(self):
        self._messages.close("the process group was shut down")
        self._worker.wait_until_idle()
        self._worker.stop()
        with self._running:
            self._failure = self._failure or "the process group was shut down"
            self._communicator.destroy()

    @property
    def supports_splitting(self):
        return True

    def split(self, store, ranks, options):
        if self._rank not in ranks:
            return None
        seconds = options._timeout.total_seconds() if options is not None else self._seconds
        return Backend(store.clone(), ranks.index(self._rank), len(ranks), seconds)
