#include "cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "tutti/communicator.h"

namespace tutti {
namespace {

int exit_status(const Error& error) {
  return error.code() == Code::invalid_argument || error.code() == Code::environment ? kExitUsage : kExitFailed;
}

}  // namespace

void leave(const std::string& what, int status) {
  fmt::print(stderr, "tutti: {}\n", what);
  throw CLI::RuntimeError(status);
}

void leave(const Error& error) { leave(error.to_string(), exit_status(error)); }

void leave_if_any(Communicator& comm, const Status& mine) {
  const int status = mine ? 0 : exit_status(mine.error());
  std::vector<int> all(static_cast<std::size_t>(comm.size()));
  if (auto s = comm.all_gather(std::span(&status, 1), std::span(all)); !s) leave(s.error());
  const auto first = std::ranges::find_if(all, [](int s) { return s != 0; });
  if (first == all.end()) return;
  if (first - all.begin() == comm.rank()) fmt::print(stderr, "tutti: {}\n", mine.error().to_string());
  (void)comm.barrier();  // launchers end a job when its first rank ends: not before the reason was told
  throw CLI::RuntimeError(*first);
}

Status write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return system_error(errno, "cannot open " + path);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
  const int error = errno;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) return system_error(written ? errno : error, "cannot write " + path);
  return {};
}

}  // namespace tutti
