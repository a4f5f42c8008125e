// The module tutti_torch._C.
#include <torch/csrc/Dtype.h>
#include <torch/csrc/utils/pybind.h>

#include "backend.h"
#include "memory.h"

namespace tutti_torch {
namespace {

c10::intrusive_ptr<c10d::Backend> create(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, double timeout_s) {
  constexpr double kMost = 1e12;  // more than is of use, but not too much for a number of milliseconds
  const auto timeout = std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(timeout_s, -kMost, kMost) * 1000));
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
      .def("transports", &Backend::transports)
      // Ranks that are in none of the parts have nothing to do.
      .def("perform_nocolor_split", [](Backend&, const at::Device&) {});
  m.def("empty", [](const std::vector<std::int64_t>& sizes, py::object dtype) {
    return tutti_torch::empty(sizes, reinterpret_cast<THPDtype*>(dtype.ptr())->scalar_type);
  });
  m.def("share_all", &tutti_torch::share_all);
  m.def("create", &tutti_torch::create, py::arg("store"), py::arg("rank"), py::arg("size"), py::arg("timeout_s"),
        py::call_guard<py::gil_scoped_release>());
}
