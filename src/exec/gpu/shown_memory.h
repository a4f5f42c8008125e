// Memory that ranks of one device show to the rank that does their calls (one_pass.h), where they are other processes: whole
// allocations, when they are first used in a call. What its owner frees the driver keeps until it is let go of here: when another
// allocation is shown and the seer is idle.
//
// Source: CUDA Driver API Reference, cuIpcGetMemHandle, CU_POINTER_ATTRIBUTE_BUFFER_ID (no two allocations of a process have the
// same).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gpu/lanes.h"

namespace tutti::gpu {

// Of a rank that shows. Used by one thread at a time.
class ShownMemory {
 public:
  ShownMemory(const Driver& driver, Courier& courier, Rank seer) : driver_(driver), courier_(courier), seer_(seer) {}

  // Where the seer sees it; waits for that rank where it has not been shown before. Code::unsupported: it cannot be shown.
  Result<Address> seen_at(Address memory);

 private:
  struct Shown {
    std::uint64_t id = 0;
    Address there = 0;  // 0: it cannot be shown, and
    std::string why;
  };
  Result<Shown> show(Address base, std::uint64_t id);
  Status forget_what_is_gone();

  const Driver& driver_;
  Courier& courier_;
  Rank seer_;
  std::map<Address, Shown> shown_;  // by the allocation's first address
};

// Of the rank that sees. Used by one thread at a time, which need not be the one that makes calls.
class SeenMemory {
 public:
  SeenMemory(const Driver& driver, ContextHandle context, Courier& courier, std::vector<Rank> others)
      : driver_(driver), context_(context), courier_(courier), others_(std::move(others)) {}
  SeenMemory(const SeenMemory&) = delete;
  SeenMemory& operator=(const SeenMemory&) = delete;
  ~SeenMemory();

  // Answers those who have shown something. Waits for nobody. Who has gone asks no more; that it has is for others to find.
  Status answer();
  // Lets go of what its owners have freed. May wait for the device, so no call may be under way.
  void give_back();

 private:
  Status answer(Rank rank);

  const Driver& driver_;
  ContextHandle context_;
  Courier& courier_;
  std::vector<Rank> others_;                                // that may still ask
  std::map<std::pair<Rank, std::uint64_t>, Address> seen_;  // by the owner's id of the allocation
  std::vector<Address> given_up_;
};

}  // namespace tutti::gpu
