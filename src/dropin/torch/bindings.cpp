// The module tutti_torch._C.
#include <torch/csrc/utils/pybind.h>

#include "backend.h"
#include "tutti/memory.h"

namespace tutti_torch {
namespace {

c10::intrusive_ptr<c10d::Backend> create(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, double timeout_s) {
  const auto timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout_s * 1000));
  return c10::make_intrusive<Backend>(store, rank, size, timeout);
}

}  // namespace
}  // namespace tutti_torch

PYBIND11_MODULE(_C, m) {
  namespace py = pybind11;
  using tutti_torch::Backend;
  py::module_::import("torch._C._distributed_c10d");  // the types that are given and taken
  py::class_<Backend, c10d::Backend, c10::intrusive_ptr<Backend>>(m, "Backend")
      .def("last_algorithm", &Backend::last_algorithm)
      .def("transports", &Backend::transports);
  m.def("create", &tutti_torch::create, py::arg("store"), py::arg("rank"), py::arg("size"), py::arg("timeout_s"),
        py::call_guard<py::gil_scoped_release>());
}
