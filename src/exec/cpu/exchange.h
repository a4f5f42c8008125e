// Publishing instead of sending: where every rank sends to all others at once, or the root does, or all others do to the root,
// the messages of a schedule become exchanges. In an exchange a rank publishes what it has for the others, and takes what they
// have published for it, straight from their boards to where it belongs, or into a fold. Nothing is stored in between, a rank
// waits only for what it needs next, and a message costs a look at a line instead of two steps of a stream.
//
// Pieces. What is larger than a board is exchanged in pieces of as many bytes as fit, the same on all ranks. A rank publishes one
// piece ahead of the one that it takes.
//
// The steps run in program order. That cannot deadlock although a board holds only so much: all ranks pass through the same
// exchanges, and whoever publishes in an exchange has before taken all that there was to take in those before.
#pragma once

#include <vector>

#include "exec/cpu/stream.h"
#include "tutti/schedule.h"

namespace tutti {

struct PlanRange {
  Buffer buffer = Buffer::input;
  std::uint64_t offset = 0;  // bytes
};

// What a part for another rank is made of.
struct ExchangePart {
  PlanRange from = {};
  std::uint64_t bytes = 0;
};

// An operand lies in this rank's memory, or on a member's board.
struct ExchangeOperand {
  Rank member = kNoRank;
  PlanRange range = {};  // where there is no member
};

// One operand is copied, several are folded.
struct ExchangeTake {
  PlanRange to = {};
  std::uint64_t bytes = 0;
  std::uint32_t operands_begin = 0, operands_end = 0;
  bool past_caches = false;
};

struct Exchange {
  std::uint32_t parts_begin = 0, parts_end = 0;  // none; one for all; or one for each rank, this one included
  std::uint32_t takes_begin = 0, takes_end = 0;
  std::uint32_t parts_at_once = 1;  // in a publication of any rank
  std::uint64_t largest = 0;        // bytes of a part of any rank
  Rank only_for = kNoRank;          // whoever publishes does it for this rank alone, and the others need not look at it
};

struct ExchangePlan {
  Board* board = nullptr;  // once connected
  std::vector<Exchange> exchanges;
  std::vector<ExchangePart> parts;
  std::vector<ExchangeTake> takes;
  std::vector<ExchangeOperand> operands;
  bool from_one = false;  // this rank takes from one rank alone
  // In order: exchanges, and steps of Plan::steps that concern this rank alone.
  struct Item {
    bool is_exchange = false;
    std::uint32_t index = 0;
  };
  std::vector<Item> order;
  [[nodiscard]] std::size_t memory_bytes() const noexcept;
};

}  // namespace tutti
