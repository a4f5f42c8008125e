"""How tensors of a type are reduced by an operator: by the library, perhaps as numbers of another type, or, where the C interface lacks the
operator, by gathering all and folding them here in the order of the ranks.
"""

import contextlib

import torch
from torch.distributed import ReduceOp

from . import c_interface
from .tensors import memory_of

_Op = ReduceOp.RedOpType
_BITS = {_Op.BAND: torch.bitwise_and, _Op.BOR: torch.bitwise_or, _Op.BXOR: torch.bitwise_xor}
# A byte of 0 or 1 each. The parity of a sum is their exclusive or, also where it wraps.
_OF_TRUTHS = {_Op.SUM: _Op.MAX, _Op.MAX: _Op.MAX, _Op.BOR: _Op.MAX, _Op.PRODUCT: _Op.MIN, _Op.MIN: _Op.MIN, _Op.BAND: _Op.MIN, _Op.BXOR: _Op.SUM}
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
_WIDER = {torch.int16: torch.int32, torch.uint16: torch.int32}
_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


class ByLibrary:
    """Reductions that the library does, on tensors as they are."""

    def __init__(self, op):
        self._op, self._factor = c_interface.OPERATORS.get(op.op), None

    def carried(self, tensor):
        """The tensor as the library reduces it: its memory, or a copy of it."""
        return tensor

    def room(self, tensor):
        """For the result of a tensor, which is not read."""
        return self.carried(tensor)

    def bring_back(self, carried, tensor):
        """Puts the result into the tensor, unless it is there already."""

    def all_reduce(self, communicator, tensor):
        if type(self) is ByLibrary:
            return communicator.all_reduce(tensor, self._op)
        carried = self.carried(tensor)
        with self._operator(communicator) as op:
            communicator.all_reduce(carried, op)
        self.bring_back(carried, tensor)

    def reduce(self, communicator, tensor, root):
        carried, at_root = self.carried(tensor), communicator.rank == root
        with self._operator(communicator) as op:
            communicator.reduce(carried, carried if at_root else None, op, root)
        if at_root:
            self.bring_back(carried, tensor)

    def reduce_scatter(self, communicator, input, output):
        carried, room = self.carried(input), self.room(output)
        with self._operator(communicator) as op:
            communicator.reduce_scatter(carried, room, op)
        self.bring_back(room, output)

    def reduce_parts(self, communicator, inputs, output):
        """As reduce_scatter, of parts of any sizes."""
        carried, room = [self.carried(part) for part in inputs], self.room(output)
        with self._operator(communicator) as op, communicator.together():
            for root, part in enumerate(carried):
                communicator.reduce(part, room if root == communicator.rank else None, op, root)
        self.bring_back(room, output)

    def _operator(self, communicator):
        return contextlib.nullcontext(self._op) if self._factor is None else communicator.premultiplied_sum(self._factor)


class Premultiplied(ByLibrary):
    def __init__(self, op, dtype):
        super().__init__(op)
        self._factor = _factor_of(op, dtype)


class Wider(ByLibrary):
    """By way of integers of more bits: the library's C interface has none of 16."""

    def __init__(self, op, dtype):
        super().__init__(op)
        self._wider = _WIDER[dtype]
        if op.op == _Op.PREMUL_SUM:
            self._factor = _factor_of(op, self._wider)

    def carried(self, tensor):
        return memory_of(tensor).to(self._wider)

    def room(self, tensor):
        return torch.empty(tensor.numel(), dtype=self._wider)

    def bring_back(self, carried, tensor):
        memory_of(tensor).copy_(carried)


class OfTruths(ByLibrary):
    def __init__(self, op):
        self._op, self._factor = c_interface.OPERATORS[_OF_TRUTHS[op.op]], None
        self._parity = op.op == _Op.BXOR

    def carried(self, tensor):
        return memory_of(tensor).view(torch.uint8)

    def bring_back(self, carried, tensor):
        if self._parity:
            carried.bitwise_and_(1)


class OfComplex(ByLibrary):
    """As twice as many real numbers."""

    def __init__(self, op, dtype):
        super().__init__(op)
        if op.op == _Op.PREMUL_SUM:
            self._factor = _factor_of(op, _REAL[dtype])

    def carried(self, tensor):
        return torch.view_as_real(memory_of(tensor)).view(-1)


class Folded:
    def __init__(self, fold, dtype):
        self._fold, self._dtype = fold, _SIGNED.get(dtype, dtype)

    def all_reduce(self, communicator, tensor):
        memory = memory_of(tensor).view(self._dtype)
        each = memory.new_empty((communicator.size, memory.numel()))
        communicator.all_gather(memory, each)
        self._put(each, memory)

    def reduce(self, communicator, tensor, root):
        memory, at_root = memory_of(tensor).view(self._dtype), communicator.rank == root
        each = memory.new_empty((communicator.size, memory.numel())) if at_root else None
        communicator.gather(memory, each, root)
        if at_root:
            self._put(each, memory)

    def reduce_scatter(self, communicator, input, output):
        memory = memory_of(output).view(self._dtype)
        each = memory.new_empty((communicator.size, memory.numel()))
        communicator.all_to_all(input.view(self._dtype), each)
        self._put(each, memory)

    def reduce_parts(self, communicator, inputs, output):
        memory = memory_of(output).view(self._dtype)
        each = memory.new_empty((communicator.size, memory.numel()))
        communicator.exchange([part.view(self._dtype) for part in inputs], list(each))
        self._put(each, memory)

    def _put(self, each, memory):
        memory.copy_(each[0])
        for other in each[1:]:
            self._fold(memory, other, out=memory)


def _factor_of(op, dtype):
    factor = op.factor
    return torch.as_tensor(factor, device="cpu").detach().to(dtype).reshape(1)


def _means_nothing(operation, op, dtype):
    return TypeError(f"tutti: {operation}: {op.op.name} means nothing for tensors of {dtype}")


def reduction(operation, op, dtype):
    """How it is done; a TypeError where it is not."""
    kind = op.op
    if dtype in _REAL:
        if kind == _Op.PRODUCT:
            return Folded(torch.mul, dtype)
        if kind in (_Op.SUM, _Op.AVG, _Op.PREMUL_SUM):
            return OfComplex(op, dtype)
        raise _means_nothing(operation, op, dtype)
    if dtype == torch.bool:
        if kind in _OF_TRUTHS:
            return OfTruths(op)
        raise _means_nothing(operation, op, dtype)
    if dtype not in c_interface.TYPES and dtype not in _WIDER:
        raise TypeError(f"tutti: {operation}: tensors of {dtype} can be moved, but not reduced")
    if kind in _BITS:
        if dtype.is_floating_point:
            raise _means_nothing(operation, op, dtype)
        return Folded(_BITS[kind], dtype)
    if dtype in _WIDER:
        return Wider(op, dtype)
    return Premultiplied(op, dtype) if kind == _Op.PREMUL_SUM else ByLibrary(op)
