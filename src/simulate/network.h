// The links of a machine in virtual time: what a message has to pass through, and when each of these is free again.
//
// A message takes its way link by link: it enters the next one when it has entered the one before, or as soon as that is free of
// the messages that came earlier, and occupies each for its bytes over the link's rate. It has arrived when the last byte has
// left the last link, and the latency of the way has passed. What is left out: switches have memory for all that waits in them.
//
//   rank's port out > rank's port in                               inside a host
//   rank's port out > its switch, or the other way round           where switches combine
//   network port out > a link of the host > (up and down past pods) > the other host's link > network port in
//   network port out > links of the torus, dimension by dimension, the short way round > network port in
//
// A rank sends inside its host and over the network at once: one is the work of an adapter, the other of a core or of NVLink.
//
// Rates and latencies are those of the cost model (JobMachine::links), which has been given or measured.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "select/select.h"

namespace tutti::simulate {

using Time = std::int64_t;  // picoseconds
inline constexpr Time kPerMicrosecond = 1'000'000;
inline constexpr Time kMostTime = Time{1} << 62;  // some 53 days
[[nodiscard]] constexpr double microseconds(Time time) noexcept { return static_cast<double>(time) / kPerMicrosecond; }
// After so much more time, or kMostTime, which is the end of all.
[[nodiscard]] constexpr Time later(Time at, Time duration) noexcept {
  return duration >= kMostTime - at ? kMostTime : at + duration;
}
// Of a duration; kMostTime where it is longer.
[[nodiscard]] Time from_microseconds(double us) noexcept;

// Those who share a host's memory, and its links to the network. nullptr: each rank has a host of its own, or all share one.
[[nodiscard]] const Grouping* host_groups(const JobMachine& machine);

// Switches that combine what passes through them (simulate/in_switch.h): ranks behind the machine's own, each joined to the ranks
// below it through their ports.
struct Switches {
  Rank count = 0;
  double gbps = 0, latency_us = 0;  // between a rank and its switch, each direction
};

class Network {
 public:
  explicit Network(const JobMachine& machine, const Switches& switches = {});

  // A rank's ports take so many times as long.
  void slow_down(Rank rank, double factor) { slower_[static_cast<std::size_t>(rank)] *= factor; }

  // One of the links that a message passes through, and how long it occupies it.
  struct Hop {
    std::uint32_t link = 0;
    Time occupied = 0;
  };
  // The way of a message, which always begins at a port of the sender and ends at one of the receiver; switches have none.
  void route(Rank from, Rank to, std::uint64_t bytes, std::vector<Hop>& way) const;
  // The message has come to that link; returns when it enters it. Messages come in the order of time.
  Time enter(const Hop& hop, std::uint64_t bytes, Time at) noexcept;
  // Of a message of no bytes.
  [[nodiscard]] Time latency(Rank from, Rank to) const noexcept { return from_microseconds(latency_us(from, to)); }

  struct Load {
    std::string link;
    std::uint64_t bytes = 0;
    Time busy = 0;
  };
  // Those that were at work longest.
  [[nodiscard]] std::vector<Load> busiest(std::size_t most) const;
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return wires_.size() * sizeof(Wire) + slower_.size() * sizeof(float);
  }

 private:
  struct Wire {
    Time free = 0, busy = 0;
    std::uint64_t bytes = 0;
  };
  // One after the other in wires_.
  struct Range {
    std::size_t first = 0, count = 0;
    double links = 1;  // that each entry stands for
  };

  Range add(std::size_t count, double links = 1);
  [[nodiscard]] const LinkParameters& link_between(Rank a, Rank b) const noexcept;
  [[nodiscard]] double latency_us(Rank from, Rank to) const noexcept {
    return std::max(from, to) < machine_.ranks ? link_between(from, to).latency_us : switches_.latency_us;
  }
  void cross_network(Rank from, Rank to, Time occupied, std::vector<Hop>& way) const;
  void cross_torus(Rank from, Rank to, Time occupied, std::vector<Hop>& way) const;
  [[nodiscard]] std::string name_of(std::size_t wire) const;

  const JobMachine& machine_;
  Switches switches_;
  std::vector<int> host_of_, index_on_host_;
  std::vector<float> slower_;
  std::vector<Wire> wires_;
  Range out_, in_, network_out_, network_in_, host_out_, host_in_, torus_;
  std::vector<Range> pods_up_, pods_down_;  // of each of JobMachine::pods
};

}  // namespace tutti::simulate
