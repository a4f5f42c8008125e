"""What operations demand of tensors, and several tensors as one."""

import torch


def only(operation, tensors):
    if len(tensors) != 1:
        raise ValueError(f"tutti: {operation} takes one tensor, not {len(tensors)}")
    return tensors[0]


def _check_kind(operation, tensor):
    if tensor.layout != torch.strided:
        raise ValueError(f"tutti: {operation} takes dense tensors, not {tensor.layout}")
    if not tensor.is_cpu:
        raise ValueError(
            f"tutti: {operation}: this package was made without a compiled module, and takes tensors of the CPU only, not of {tensor.device}; "
            'a package compiled for this PyTorch takes those of CUDA devices, as does init_process_group("nccl") with tutti\'s libnccl.so.2'
        )
    if tensor.is_conj() or tensor.is_neg():
        raise ValueError(
            f"tutti: {operation}: the tensor is the conjugate or the negative of what is in its memory; take resolve_conj() or resolve_neg() of it"
        )


def _fills_its_memory(tensor):
    """Whether its elements lie one behind the other, in any order of its dimensions."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape)):
        if size == 0:
            return True
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def _refuse(operation, tensor, why):
    sizes, strides = list(tensor.shape), list(tensor.stride())
    raise ValueError(f"tutti: {operation}: a tensor of sizes {sizes} and strides {strides} {why}; make it contiguous()")


def _check_written(operation, tensor):
    if any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride())):
        _refuse(operation, tensor, "has elements that share memory")


def check_contiguous(operation, tensor):
    _check_kind(operation, tensor)
    if not tensor.is_contiguous():
        _refuse(operation, tensor, "is not contiguous")


# What an operation works on instead of a tensor whose elements do not lie one behind the other: a copy that is read, or room that is written, or
# both, and then put back.


def to_read(operation, tensor):
    _check_kind(operation, tensor)
    return tensor.detach().contiguous()


def to_write(operation, tensor):
    _check_kind(operation, tensor)
    _check_written(operation, tensor)
    return tensor if tensor.is_contiguous() else torch.empty(tensor.shape, dtype=tensor.dtype)


def to_change(operation, tensor):
    """Here any order of the dimensions will do, as long as all ranks have the same."""
    _check_kind(operation, tensor)
    _check_written(operation, tensor)
    return tensor if tensor.is_contiguous() or _fills_its_memory(tensor) else tensor.detach().contiguous()


def put_back(worked_on, tensor):
    if worked_on is not tensor:
        tensor.detach().copy_(worked_on)


def check_same_type(operation, a, b):
    if a.dtype != b.dtype:
        raise TypeError(f"tutti: {operation}: tensors of {a.dtype} and {b.dtype} in one call")


def check_count(operation, what, given, expected):
    if given != expected:
        raise ValueError(f"tutti: {operation}: {given} {what}, expected {expected}")


def memory_of(tensor):
    """All its elements, in the order of its memory."""
    return tensor.detach().as_strided((tensor.numel(),), (1,))


def parts(operation, what, tensor, splits, ranks):
    """Each rank's part of a tensor that is split along its first dimension, evenly where nothing is said."""
    rows = tensor.size(0) if tensor.dim() else tensor.numel()
    if not splits:
        if rows % ranks:
            raise ValueError(
                f"tutti: {operation}: {rows} rows of the {what} cannot be split evenly among {ranks} ranks; give split sizes"
            )
        splits = [rows // ranks] * ranks
    check_count(operation, f"split sizes of the {what}", len(splits), ranks)
    if min(splits) < 0:
        raise ValueError(f"tutti: {operation}: a split size of the {what} is {min(splits)}")
    if sum(splits) != rows:
        raise ValueError(f"tutti: {operation}: the split sizes of the {what} add up to {sum(splits)}, but it has {rows} rows")
    row = tensor.numel() // rows if rows else 0
    return memory_of(tensor).split([n * row for n in splits])


class Flat:
    """Tensors of one type one behind the other: a view where they lie so in memory, otherwise memory of its own."""

    def __init__(self, operation, tensors, written):
        self.tensors, self.counts = tensors, [tensor.numel() for tensor in tensors]
        first, all, adjacent = tensors[0], 0, True
        for tensor, count in zip(tensors, self.counts):
            _check_kind(operation, tensor)
            if written:
                _check_written(operation, tensor)
            check_same_type(operation, first, tensor)
            adjacent = adjacent and tensor.is_contiguous() and tensor.data_ptr() == first.data_ptr() + all * first.itemsize and self._in_one_storage(tensor, first)
            all += count
        self.equal, self.apart = len(set(self.counts)) == 1, not adjacent
        self.whole = torch.empty(all, dtype=first.dtype) if self.apart else first.detach().as_strided((all,), (1,))

    @staticmethod
    def _in_one_storage(a, b):
        return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()

    def parts(self):
        return self.whole.split(self.counts)

    def fill(self):
        """To be called before the call that reads it."""
        if self.apart:
            for part, tensor in zip(self.parts(), self.tensors):
                part.view(tensor.shape).copy_(tensor.detach())

    def spread(self):
        """To be called after the call that writes it."""
        if self.apart:
            for part, tensor in zip(self.parts(), self.tensors):
                tensor.detach().copy_(part.view(tensor.shape))
