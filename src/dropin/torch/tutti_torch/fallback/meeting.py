"""How the ranks of a group find each other: over the store that PyTorch gives them."""

import hashlib
import threading
import time

import torch.distributed as dist

from . import c_interface
from .limits import Limit

_SHORTEST_S, _LONGEST_S, _LOOK_S = 0.001, 0.02, 0.5
_LATE_S = 60  # that rank 0 may start later than others find what an earlier one has left
_KEY = "tutti/group"


class Failed(Exception):
    """The ranks have not met."""


def _nobody_knows():
    return False


def _await(store, key, old, seconds, given_up):
    """What rank 0 has written under the key, other than `old`. Looks again and again, as a store serves one waiting thread at a time."""
    end, pause = time.monotonic() + seconds, _SHORTEST_S
    while True:
        if store.check([key]):
            text = store.get(key)
            if text != old:
                return text
        if given_up():
            raise Failed("the process group has ended")
        if time.monotonic() > end:
            return None
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_S)


def _announce(store, key):
    text = c_interface.new_id().hex().encode()
    store.set(key, text)
    return text


def _create(text, rank, size, seconds, stopped=_nobody_knows):
    """A communicator of all that have this id. What `stopped` says ends it, too."""
    communicator, late = c_interface.Communicator(rank, size), threading.Event()

    def too_late():
        late.set()
        communicator.abort()

    over = threading.Event()

    def watch():
        while not over.wait(_LOOK_S):
            if stopped():
                return communicator.abort()

    if stopped is not _nobody_knows:
        threading.Thread(target=watch, name="tutti meeting", daemon=True).start()
    try:
        with Limit(seconds, too_late):
            communicator.create(bytes.fromhex(text.decode()))
    except c_interface.Error as error:
        if not late.is_set():
            raise
        raise Failed(f"not all {size} ranks have come within {seconds:g} s ({error})") from None
    finally:
        over.set()
    return communicator


def meet(store, key, rank, size, seconds, given_up):
    """The communicator of all that meet at this key, which nobody has used before; rank 0 says where. given_up() is asked now and then whether
    to stop.
    """
    text = _announce(store, key) if rank == 0 else _await(store, key, None, seconds, given_up)
    if text is None:
        raise Failed(f"it has not come within {seconds:g} s")
    try:
        return _create(text, rank, size, seconds, given_up)
    except Exception:
        if rank == 0:
            store.delete_key(key)  # nobody is to come there later
        raise


def _has_another(store, text):
    try:
        return store.get(_KEY) != text
    except RuntimeError:  # whoever makes the communicator finds out
        return False


def _follow(store, rank, size, seconds):
    """Rank 0's id may be one that an earlier group's rank 0 has left: then nobody is there, and the right one comes soon."""
    failed = text = None
    while True:
        text = _await(store, _KEY, text, min(seconds, _LATE_S) if failed else seconds, _nobody_knows)
        if text is None:
            raise failed or Failed(f"rank 0 has not come within {seconds:g} s")
        try:
            return _create(text, rank, size, seconds, lambda seen=text: _has_another(store, seen)), text
        except c_interface.Error as error:
            if error.result != c_interface.REMOTE_ERROR:
                raise
            failed = error


def meet_group(store, rank, size, seconds):
    """The same for a whole group, whose store may still hold what an earlier group has left there: torchrun starts ranks again with the store
    that those before have used. The communicator, and the part of the store that only this group uses.
    """
    if rank == 0:
        text = _announce(store, _KEY)
        communicator = _create(text, rank, size, seconds)
    else:
        communicator, text = _follow(store, rank, size, seconds)
    return communicator, dist.PrefixStore(f"tutti/{hashlib.sha256(text).hexdigest()[:16]}", store)
