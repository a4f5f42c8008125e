// What a launcher offers to let ranks find each other: small texts that every rank can read after a fence.
#pragma once

#include <memory>
#include <string>

#include "bootstrap/launcher.h"
#include "core/clock.h"
#include "tutti/result.h"

namespace tutti {

class KeyValueStore {
 public:
  virtual ~KeyValueStore() = default;

  [[nodiscard]] virtual Rank rank() const = 0;
  [[nodiscard]] virtual Rank size() const = 0;
  // Keys up to 32 characters, values up to 512, both without blanks.
  virtual Status put(const std::string& key, const std::string& value) = 0;
  // Waits until every rank called it; what was put before can be read after.
  virtual Status fence() = 0;
  virtual Result<std::string> get(Rank owner, const std::string& key) = 0;
  // Tells the launcher that this process needs it no more, so that it does not take the process's end for a crash.
  virtual Status finish() = 0;
};

// Connects to the launcher's own store, for Meeting::pmix and Meeting::pmi. No operation lasts beyond the deadline.
[[nodiscard]] Result<std::unique_ptr<KeyValueStore>> open_store(const Launch& launch, TimePoint deadline);

}  // namespace tutti
