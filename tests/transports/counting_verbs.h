// The table of libibverbs' functions, which does what the real one does, and counts. What posts and polls is counted where
// verbs.h looks for it: in the context of an opened device.
#pragma once

#include <atomic>
#include <cstdint>

#include "transports/verbs/library.h"

namespace tutti::verbs {

// Of this process, since it began.
struct VerbsCounts {
  std::uint64_t requests = 0;      // of sending, posted
  std::uint64_t doorbells = 0;     // calls that posted them
  std::uint64_t reported = 0;      // requests whose completion was asked for
  std::uint64_t bytes = 0;         // of all requests
  std::uint64_t inline_bytes = 0;  // of them: the device got them with the request
  std::uint64_t copied = 0;        // of them: from memory that peers do not write to, but this rank does (rings)
  std::uint64_t receives = 0;      // requests of receiving, posted
  std::uint64_t polls = 0;         // of completion queues
  std::uint64_t completions = 0;   // that they found
  std::int64_t registered = 0;     // bytes of memory, now
  std::uint64_t registrations = 0;

  VerbsCounts& operator+=(const VerbsCounts& other) noexcept;
  VerbsCounts& operator-=(const VerbsCounts& other) noexcept;
  friend VerbsCounts operator-(VerbsCounts a, const VerbsCounts& b) noexcept { return a -= b; }
};

// Thread safe.
[[nodiscard]] VerbsCounts verbs_counts() noexcept;

// That of load_library(), with functions that count.
[[nodiscard]] Result<Library> load_counting_library();

}  // namespace tutti::verbs
