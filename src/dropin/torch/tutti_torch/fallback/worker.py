"""A thread that does one thing after the other; started with the first of them."""

import collections
import threading


class Worker:
    def __init__(self):
        self._changed = threading.Condition()
        self._tasks, self._open, self._stopping, self._thread = collections.deque(), 0, False, None

    def push(self, task):
        with self._changed:
            self._open += 1
            self._tasks.append(task)
            if self._thread is None:
                # The process may end while it waits for another rank.
                self._thread = threading.Thread(target=self._loop, name="tutti torch", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def idle(self):
        """Whether nothing is left to do."""
        return self._open == 0

    def wait_until_idle(self):
        with self._changed:
            self._changed.wait_for(self.idle)

    def stop(self):
        """Ends when it has done what is left."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _loop(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._stopping)
                if not self._tasks:
                    return
                task = self._tasks.popleft()
            task()
            del task  # what it holds is let go of before it counts as done
            with self._changed:
                self._open -= 1
                self._changed.notify_all()
