// Where libFuzzer calls a target.
#include <cstdint>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tutti::fuzz::try_input({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
