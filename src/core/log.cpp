#include "core/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace tutti {
namespace {

// The sink is the process's, as stderr is; everything else in the library is owned by a communicator.
struct LogSink {
  std::mutex mutex;
  std::FILE* file = stderr;
  std::string prefix;
  std::atomic<LogLevel> level{LogLevel::warn};
};
LogSink& sink() {
  static LogSink instance;
  return instance;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "?";
}

std::string expand(const std::string& path, Rank rank) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%' || i + 1 == path.size()) {
      out += path[i];
      continue;
    }
    switch (path[++i]) {
      case 'r':
        out += std::to_string(rank);
        break;
      case 'h':
        out += host_name();
        break;
      case 'p':
        out += std::to_string(getpid());
        break;
      default:
        out += path[i];
    }
  }
  return out;
}

}  // namespace

void configure_log(LogLevel level, const std::string& path, Rank rank) {
  LogSink& s = sink();
  const std::lock_guard lock(s.mutex);
  s.level = level;
  s.prefix = fmt::format("[{} rank {}] ", host_name(), rank);
  if (path.empty()) return;
  const std::string name = expand(path, rank);
  std::FILE* file = std::fopen(name.c_str(), "ae");
  if (file == nullptr)
    fmt::print(stderr, "tutti: cannot open log file {} ({}); logging to stderr\n", name, strerrorname_np(errno));
  if (s.file != stderr) std::fclose(s.file);
  s.file = file != nullptr ? file : stderr;
}

bool log_enabled(LogLevel level) noexcept { return level <= sink().level.load(std::memory_order_relaxed); }

void log(LogLevel level, std::string_view message) {
  if (!log_enabled(level)) return;
  constexpr std::array<std::string_view, 4> kNames{"error", "warning", "info", "debug"};
  LogSink& s = sink();
  const std::lock_guard lock(s.mutex);
  fmt::print(s.file, "tutti {}{}: {}\n", s.prefix, kNames[static_cast<std::size_t>(level)], message);
  std::fflush(s.file);
}

}  // namespace tutti
