// Results of the C interface, and the sentence behind the last bad one.
#pragma once

#include <fmt/format.h>
#include <nccl.h>

#include <exception>
#include <string_view>

#include "tutti/result.h"

namespace tutti::nccl {

[[nodiscard]] const char* get_error_string(ncclResult_t result) noexcept;
// Of the process, whatever the communicator; valid until this thread asks again.
[[nodiscard]] const char* get_last_error(ncclComm_t comm) noexcept;
void reset_debug_init() noexcept;

[[nodiscard]] ncclResult_t result_of(Code code) noexcept;
// Keeps the message for get_last_error(), logs it where NCCL_DEBUG asks for it, and returns `result`.
ncclResult_t report(ncclResult_t result, std::string_view message);
ncclResult_t report(const Error& error);

// The call has no effect, and its communicator can be used on.
template <class... Args>
ncclResult_t invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
  return report(ncclInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}
// The program does something that cannot be done here or now.
template <class... Args>
ncclResult_t invalid_usage(fmt::format_string<Args...> format, Args&&... args) {
  return report(ncclInvalidUsage, fmt::format(format, std::forward<Args>(args)...));
}

// No exception passes the C interface.
template <auto Function, class... Args>
ncclResult_t entry(Args... args) noexcept {
  try {
    return Function(args...);
  } catch (const std::exception& error) {
    return report(ncclSystemError, error.what());
  }
}

}  // namespace tutti::nccl
