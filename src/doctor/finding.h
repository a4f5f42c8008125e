// What `tutti doctor` has to say about one thing: what it saw and where, what that costs, how to mend it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti::doctor {

// Problem: something fails, or runs many times slower. Warning: it is slower than this hardware need be. Note: good to know,
// also where a thing cannot be seen.
enum class Severity : std::uint8_t { ok, note, warning, problem };
inline constexpr int kSeverities = 4;
[[nodiscard]] std::string_view name(Severity severity) noexcept;

struct Finding {
  Severity severity = Severity::ok;
  std::string check;   // "cma"
  std::string found;   // what is so
  std::string source;  // the file or system call that says it
  std::string costs;   // what comes of it
  std::string mend;    // what to do

  friend bool operator==(const Finding&, const Finding&) = default;
};
using Findings = std::vector<Finding>;

// A finding, and the ranks that have it.
struct Shared {
  Finding finding;
  std::string host;        // empty: of the whole job
  std::vector<int> ranks;  // ascending; empty: of the whole job
};

// Equal findings of one host as one; the gravest first, else in the order given.
[[nodiscard]] std::vector<Shared> merged(std::vector<Shared> findings);

// For a person; hosts and ranks are named where the job has several ranks.
[[nodiscard]] std::string render(const std::vector<Shared>& findings, bool name_ranks);
// {"tutti_doctor": 1, "problems": 0, "warnings": 1, "notes": 2, "findings": [...]}, one line.
[[nodiscard]] std::string to_json(const std::vector<Shared>& findings);
[[nodiscard]] int count(const std::vector<Shared>& findings, Severity severity);

// What ranks send each other.
[[nodiscard]] nlohmann::json to_json(const Findings& findings);
[[nodiscard]] Result<Findings> findings_from_json(const nlohmann::json& array);

}  // namespace tutti::doctor
