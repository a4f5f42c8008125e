// Whole files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/fd.h"
#include "tutti/result.h"

namespace tutti {

// Code::invalid_argument where it cannot be read, or is longer; both name the file.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t most_bytes);
// The same, but a pipe, which could keep us waiting for ever, is refused.
[[nodiscard]] Result<std::string> read_regular_file(const std::string& path, std::uint64_t most_bytes);

// Writes all of a file, or leaves what was there before as it was: a full disk must not pass for success. A device, a pipe and
// what standard output or error go to have no "before" and keep their place.
[[nodiscard]] Status replace_file(const std::string& path, std::string_view text);
// Whether replace_file could do it, for who wants to know before an hour's work. What is there stays.
[[nodiscard]] Status check_writable(const std::string& path);

// Held until it is closed, by one process at a time; another one waits for it. The file stays, empty. Where a file system knows
// no locks, nobody waits.
[[nodiscard]] Result<Fd> lock_file(const std::string& path, double wait_seconds = 10);

}  // namespace tutti
