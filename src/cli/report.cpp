#include "cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "core/printable.h"
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

void leave_if_unlike(Communicator& comm, const OptionValues& mine) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::string text;
  for (const auto& [name, value] : mine) (text += value) += '\0';
  std::uint64_t length = text.size();
  if (auto s = comm.all_reduce(std::span(&length, 1), {.kind = ReduceKind::max, .user = {}}); !s) leave(s.error());
  text.resize(length);
  std::vector<std::int8_t> in(text.begin(), text.end()), all(ranks * length);
  if (auto s = comm.all_gather(std::span<const std::int8_t>(in), std::span(all)); !s) leave(s.error());
  for (std::size_t r = 0; r < ranks; ++r) {
    const std::string theirs(all.begin() + static_cast<std::ptrdiff_t>(r * length),
                             all.begin() + static_cast<std::ptrdiff_t>((r + 1) * length));
    if (theirs == text) continue;
    const char* value = theirs.c_str();
    for (const auto& [name, own] : mine) {
      if (own != value) {
        fmt::print(stderr, "tutti: rank {} has {} {}, rank {} has {} {}: start all ranks with the same options\n", r, name,
                   printable(value), comm.rank(), name, own);
        break;
      }
      value += own.size() + 1;
    }
    (void)comm.barrier();  // as above
    throw CLI::RuntimeError(kExitUsage);
  }
}

}  // namespace tutti
