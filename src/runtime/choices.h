// All that the choice of algorithms depends on, or a hash of it, with what a person can tell apart: ranks compare theirs at the
// start.
#pragma once

#include <string>
#include <vector>

#include "bootstrap/wire.h"
#include "core/config.h"
#include "custom/custom.h"

namespace tutti {

struct Choices {
  std::uint64_t machine = 0;          // a hash
  std::vector<std::string> settings;  // those variables' that decide
  std::vector<CustomAlgorithms::Item> own;
  friend bool operator==(const Choices&, const Choices&) = default;

  static Choices of(std::uint64_t machine, const Config& config, const CustomAlgorithms& custom);
  void write(Writer& out) const;
  static Choices read(Reader& in);
};

// The first that differs, for people.
[[nodiscard]] std::string difference(const Choices& there, const Choices& here);

}  // namespace tutti
