// Libraries that are opened when the program runs, as tables of the functions that are used. They stay open: drivers are not made
// to be closed.
#pragma once

#include <dlfcn.h>

#include <string>

#include "tutti/result.h"

namespace tutti {

// Code::environment, with the system's reason, where it cannot be loaded.
[[nodiscard]] inline Result<void*> open_library(const char* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* why = dlerror();
  return Error(Code::environment, std::string(name) + " cannot be loaded (" + (why != nullptr ? why : "no reason given") + ")");
}

// Fills a table's rows and remembers the first that is missing.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}
  template <class Pointer>
  void find(Pointer& row, const char* name) {
    row = reinterpret_cast<Pointer>(dlsym(library_, name));
    if (row == nullptr && missing_ == nullptr) missing_ = name;
  }
  [[nodiscard]] const char* missing() const { return missing_; }

 private:
  void* library_;
  const char* missing_ = nullptr;
};

}  // namespace tutti
