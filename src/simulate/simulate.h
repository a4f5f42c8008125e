// Runs the schedules of all ranks in virtual time. The same candidate, machine and conditions give the same answer, always.
//
// - A step begins when the steps that it waits for are done, and takes the rank's core for the executor's time per step. Steps of
//   a rank that need its core at once take it in turns.
// - A message of at most `eager_bytes` is on its way when its send has begun; a larger one when its receive has, too, and the
//   receiver's word has come back. The network (simulate/network.h) says when it has arrived.
// - A reduction takes as long as the cost model says: of what arrives, what it takes longer than the copy that it replaces.
//
// Ranks that share cores are simulated as if each had its own, and what would be published is sent. Switches that combine
// (simulate/in_switch.h) take no time for it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "simulate/network.h"
#include "simulate/program.h"
#include "tutti/result.h"

namespace tutti::simulate {

// What is out of the ordinary.
struct Conditions {
  std::uint64_t eager_bytes = std::uint64_t{32} << 10;
  struct Rate {
    Rank rank = 0;
    double factor = 1;
  };
  std::vector<Rate> slow_ranks = {}, slow_links = {};  // so many times as long do their cores take, and their ports
  struct Loss {                                        // what the rank has sent by then arrives, and nothing else
    Rank rank = 0;
    Time at = 0;
  };
  std::vector<Loss> lost = {};
  double delay_us = 0;  // a rank begins as late as that at the most, at random
  std::uint64_t seed = 1;
};

// A stretch of time in which a rank did something, or a message was on its way.
struct Span {
  Rank rank = 0, peer = kNoRank;  // of a message: the sender and the receiver
  StepKind kind = StepKind::copy;
  std::uint64_t bytes = 0;
  Time begin = 0, end = 0;
};

struct Stuck {
  Rank rank = 0, waits_for = kNoRank;  // kNoRank: it is lost itself
};

struct Outcome {
  Time end = 0;  // of the last rank
  Rank last = 0, first = 0;
  Time first_end = 0;
  std::uint64_t events = 0, messages = 0;
  std::vector<Stuck> stuck;  // ranks that never end; empty: all do
  std::vector<Network::Load> busiest;
  std::size_t memory_bytes = 0;
};

// What a run of a program of that size needs, program and all.
[[nodiscard]] std::uint64_t memory_forecast(const Program::Size& size);

// How far a run is.
struct Progress {
  std::uint64_t events = 0, sent = 0, messages = 0;  // sent: of so many messages
  Time now = 0;
};
inline constexpr std::uint64_t kEventsPerReport = 1 << 14;

// `watch` is told of all that happens, `report` how far the run is, every kEventsPerReport events, if they are given.
// Code::resource when it takes longer than virtual time can count.
Result<Outcome> run(const Program& program, const JobMachine& machine, const Conditions& conditions,
                    const std::function<void(const Span&)>& watch = {}, const std::function<void(const Progress&)>& report = {});

}  // namespace tutti::simulate
