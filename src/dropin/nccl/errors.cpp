#include "nccl/errors.h"

#include <atomic>
#include <mutex>
#include <string>

#include "core/config.h"
#include "core/log.h"

namespace tutti::nccl {
namespace {

struct LastError {
  std::mutex mutex;
  std::string text;
  static LastError& of_this_process() {
    static auto& last = *new LastError;  // threads may fail until the very end
    return last;
  }
};

bool asked_for_by_environment() {
  const auto level = environment("NCCL_DEBUG");
  return level && (*level == "WARN" || *level == "INFO" || *level == "ABORT" || *level == "TRACE");
}
std::atomic<bool>& wanted() {
  static std::atomic<bool> value = asked_for_by_environment();
  return value;
}

}  // namespace

const char* get_error_string(ncclResult_t result) noexcept {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    case ncclTimeout:
      return "timeout";
    case ncclNumResults:
      break;
  }
  return "unknown result code";
}

const char* get_last_error(ncclComm_t) noexcept {
  thread_local std::string copy;
  auto& last = LastError::of_this_process();
  const std::lock_guard lock(last.mutex);
  try {
    copy = last.text;
  } catch (const std::bad_alloc&) {
    copy.clear();
  }
  return copy.c_str();
}

void reset_debug_init() noexcept { wanted() = asked_for_by_environment(); }

ncclResult_t result_of(Code code) noexcept {
  switch (code) {
    case Code::invalid_argument:
      return ncclInvalidArgument;
    case Code::mismatch:
    case Code::unsupported:
    case Code::environment:
      return ncclInvalidUsage;
    case Code::timeout:
    case Code::peer_lost:
    case Code::aborted:
    case Code::protocol:
    case Code::unauthenticated:
      return ncclRemoteError;
    case Code::resource:
      return ncclSystemError;
    case Code::internal:
      return ncclInternalError;
  }
  return ncclInternalError;
}

ncclResult_t report(ncclResult_t result, std::string_view message) {
  if (wanted()) log(LogLevel::error, message);
  auto& last = LastError::of_this_process();
  const std::lock_guard lock(last.mutex);
  last.text = message;
  return result;
}

ncclResult_t report(const Error& error) { return report(result_of(error.code()), error.to_string()); }

}  // namespace tutti::nccl
