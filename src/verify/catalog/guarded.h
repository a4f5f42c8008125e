// Functions of plugins are strangers: what they throw is their row's fault, not the caller's end.
#pragma once

#include <exception>
#include <string>

namespace tutti {

// What the function gives; where it throws, what `otherwise` makes of the exception's text.
template <class Function, class Otherwise>
auto guarded(Function function, Otherwise otherwise) -> decltype(function()) try {
  return function();
} catch (const std::exception& e) {
  return otherwise(std::string("throws: ") + e.what());
} catch (...) {
  return otherwise(std::string("throws what is no std::exception"));
}

}  // namespace tutti
