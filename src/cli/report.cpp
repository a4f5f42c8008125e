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

// The first option that a rank has not as this one has it; `theirs` are its values, each with a zero behind it.
std::string difference(std::string_view theirs, const OptionValues& mine, std::size_t there, Rank here) {
  for (const auto& [name, value] : mine) {
    const std::string_view other = theirs.substr(0, theirs.find('\0'));
    if (other != value)
      return fmt::format("rank {} has {} {}, rank {} has {} {}", there, name, printable(std::string(other)), here, name, value);
    theirs.remove_prefix(std::min(theirs.size(), other.size() + 1));
  }
  return "";
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
    const auto* theirs = reinterpret_cast<const char*>(all.data() + r * length);
    const std::string what = difference({theirs, length}, mine, r, comm.rank());
    if (what.empty()) continue;
    fmt::print(stderr, "tutti: {}: start all ranks with the same options\n", what);
    (void)comm.barrier();  // as above
    throw CLI::RuntimeError(kExitUsage);
  }
}

}  // namespace tutti
