// Python's lock. Threads of this package need it where they let go of tensors that are Python's.
#pragma once

#include <Python.h>

namespace tutti_torch {

// While this exists, the thread that made it does not hold Python's lock: for whoever waits for a thread.
class WithoutPython {
 public:
  WithoutPython() : state_(Py_IsInitialized() != 0 && PyGILState_Check() != 0 ? PyEval_SaveThread() : nullptr) {}
  WithoutPython(const WithoutPython&) = delete;
  WithoutPython& operator=(const WithoutPython&) = delete;
  // When it ends, threads that need its lock never go on.
  [[nodiscard]] static bool python_lives() { return Py_IsInitialized() != 0; }
  ~WithoutPython() {
    if (state_ != nullptr) PyEval_RestoreThread(state_);
  }

 private:
  PyThreadState* state_;
};

}  // namespace tutti_torch
