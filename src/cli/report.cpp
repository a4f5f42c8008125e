#include "cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>

namespace tutti {

void leave(const std::string& what, int status) {
  fmt::print(stderr, "tutti: {}\n", what);
  throw CLI::RuntimeError(status);
}

void leave(const Error& error) {
  const bool mendable = error.code() == Code::invalid_argument || error.code() == Code::environment;
  leave(error.to_string(), mendable ? kExitUsage : kExitFailed);
}

void write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) leave(system_error(errno, "cannot open " + path).to_string(), kExitFailed);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
  const int error = errno;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) leave(system_error(written ? errno : error, "cannot write " + path).to_string(), kExitFailed);
}

}  // namespace tutti
