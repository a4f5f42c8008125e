// A parser under attack. Each target is a file with one function, linked with libFuzzer (./dev fuzz) or with driver.cpp, which
// tries the corpus and damaged versions of it (./dev test).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tutti/result.h"

namespace tutti::fuzz {

// The target: must come back, whatever the bytes are, with all its promises kept.
void try_input(ConstBytes input);

[[nodiscard]] inline std::string_view text_of(ConstBytes input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

// Ends the program where it is not kept, so that the fuzzer has found something.
inline void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

// Whether it was parsed; a refusal has to say why.
template <class T>
bool parsed(const Result<T>& result) {
  if (result) return true;
  promise(!const_cast<Result<T>&>(result).error().message().empty(), "an error says what was wrong");
  return false;
}

}  // namespace tutti::fuzz
