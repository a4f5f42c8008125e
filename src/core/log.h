// One sink for all logging: stderr, or TUTTI_LOG_FILE. Never stdout.
// The first function that decides that something is an error logs it; the ones above hand it on.
#pragma once

#include <string>
#include <string_view>

#include "tutti/types.h"

namespace tutti {

enum class LogLevel : std::uint8_t { error, warn, info, debug };

// Set once at start. `path` may hold %r (rank), %h (host) and %p (process id); empty means stderr.
void configure_log(LogLevel level, const std::string& path, Rank rank);
[[nodiscard]] bool log_enabled(LogLevel level) noexcept;
void log(LogLevel level, std::string_view message);

}  // namespace tutti
