// A schedule: what one rank does in one collective call, as a plain value.
//
// No pointer, element type, reduction operator, tag or communicator is inside, so a schedule is built once per
// (algorithm, rank, shape, chunking) and serves every size and type; it can be printed, proved, priced and run.
//
// Chunks. Every buffer is cut into chunks; a schedule names chunks, never bytes. `blocks` and `chunks_per_block`
// fix how many there are:
//
//   collective                          input chunks   output chunks   blocks
//   all_reduce reduce broadcast scan     C              C              1 block of C chunks
//   all_gather, gather                   C              p*C            block r = what rank r contributes
//   reduce_scatter, scatter              p*C            C              block r = what rank r ends up with
//   all_to_all                           p*C            p*C            input block d goes to rank d, output block s came from s
//   barrier                              1              1              one chunk of zero bytes: a barrier is an all_reduce of
//   nothing send_recv                            C              C              (per peer: see algorithms/send_recv)
//
// The input of `gather` exists everywhere, its output only at the root, and so on as in MPI; a schedule must not
// touch what does not exist. In scatter the input, in broadcast the input exists at the root only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti {

enum class Buffer : std::uint8_t { input, output, scratch };
[[nodiscard]] std::string_view name(Buffer buffer) noexcept;

// Chunks [chunk, chunk + count) of one buffer.
struct Slice {
  Buffer buffer = Buffer::input;
  std::uint32_t chunk = 0;
  std::uint32_t count = 1;

  friend bool operator==(const Slice&, const Slice&) = default;
  [[nodiscard]] bool overlaps(const Slice& other) const noexcept {
    return buffer == other.buffer && chunk < other.chunk + other.count && other.chunk < chunk + count;
  }
};

// The closed set of steps. The first four are what builders write; the last two are made by a pass only
// (src/schedule/passes), and the passed schedule is verified again.
enum class StepKind : std::uint8_t {
  send,         // from -> peer
  recv,         // peer -> to
  reduce,       // to = to (+) from, or from (+) to where Step::from_is_left
  copy,         // to = from
  recv_reduce,  // fused: to = from (+) (what arrives from peer), without a stop in scratch; `from` may be `to`
  fold,         // fused: to = operand_0 (+) operand_1 (+) ... in one pass over memory, rounded once
};
[[nodiscard]] std::string_view name(StepKind kind) noexcept;

struct Step {
  StepKind kind = StepKind::copy;
  bool from_is_left = false;        // reduce: `from` comes before `to` in rank order; recv_reduce: `from` before the arrival
  std::uint16_t channel = 0;        // send, recv: an independent FIFO stream between two ranks
  Rank peer = kNoRank;              // send, recv
  Slice from = {};                  // send, reduce, copy
  Slice to = {};                    // recv, reduce, copy, fold
  std::uint32_t operand_begin = 0;  // fold: operands in [operand_begin, operand_end) of Schedule::operands
  std::uint32_t operand_end = 0;

  friend bool operator==(const Step&, const Step&) = default;
};

// Numbers of chunks, stored as ranges: scratch of a schedule may have as many chunks as there are ranks.
class ChunkList {
 public:
  ChunkList() = default;
  ChunkList(std::initializer_list<std::uint32_t> chunks) {
    for (const std::uint32_t c : chunks) push_back(c);
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t operator[](std::size_t i) const noexcept {
    const auto next = std::upper_bound(runs_.begin(), runs_.end(), i, [](std::size_t at, const Run& run) { return at < run.at; });
    const Run& run = *std::prev(next);
    return run.first + static_cast<std::uint32_t>(i - run.at);
  }
  void push_back(std::uint32_t chunk) { append(chunk, 1); }
  // first, first + 1, ...
  void append(std::uint32_t first, std::uint32_t count);
  // visit(first, count) for each maximal range, in order.
  template <class Visit>
  void for_each_range(Visit&& visit) const {
    for (std::size_t r = 0; r < runs_.size(); ++r)
      visit(runs_[r].first, (r + 1 < runs_.size() ? runs_[r + 1].at : size_) - runs_[r].at);
  }

  friend bool operator==(const ChunkList&, const ChunkList&) = default;

 private:
  struct Run {
    std::uint32_t at, first;  // entries from `at` on are first, first + 1, ...
    friend bool operator==(const Run&, const Run&) = default;
  };
  std::vector<Run> runs_;
  std::uint32_t size_ = 0;
};

// What one rank does. Steps stand in program order; `dependencies` (derived by the Builder) say which earlier steps
// must be complete before a step may start. Beyond that, sends to one (peer, channel) are posted in program order, and
// so are receives: the k-th send on (src, dst, channel) matches the k-th recv there. A send has rendezvous meaning: it
// may not complete before the peer has posted the receive.
struct Schedule {
  Collective collective = Collective::all_reduce;
  std::string algorithm;
  Rank rank = 0;
  Rank ranks = 1;
  Rank root = 0;
  bool in_place = false;
  std::uint32_t chunks_per_block = 1;
  // One entry per scratch chunk: the index of the data chunk whose size it has (see ChunkMap).
  ChunkList scratch;
  std::vector<Step> steps;
  // dependencies of step i: dependency_list[dependency_begin[i] .. dependency_begin[i+1])
  std::vector<std::uint32_t> dependency_begin;
  std::vector<std::uint32_t> dependency_list;
  std::vector<Slice> operands;  // of fold steps

  friend bool operator==(const Schedule&, const Schedule&) = default;
  [[nodiscard]] std::span<const std::uint32_t> dependencies(std::size_t step) const {
    return {dependency_list.data() + dependency_begin[step], dependency_list.data() + dependency_begin[step + 1]};
  }
};

// How ranks are grouped for hierarchical algorithms, innermost level first (ranks sharing an L3, a NUMA node, a package,
// a host). Built once per communicator and shared by all schedules; lookups are O(1).
class Grouping {
 public:
  // group_of[r] = any label; ranks with equal labels form a group. Groups are numbered by their lowest rank.
  explicit Grouping(const std::vector<int>& group_of);
  [[nodiscard]] int groups() const noexcept { return static_cast<int>(begin_.size()) - 1; }
  [[nodiscard]] int group_of(Rank r) const noexcept { return group_of_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] int index_in_group(Rank r) const noexcept { return index_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] std::span<const Rank> members(int group) const noexcept;  // ascending
  [[nodiscard]] Rank leader(int group) const noexcept { return members(group).front(); }
  [[nodiscard]] bool equal_sizes() const noexcept { return smallest_ == largest_; }
  [[nodiscard]] Rank smallest() const noexcept { return smallest_; }  // ranks of the smallest group
  [[nodiscard]] Rank largest() const noexcept { return largest_; }
  // Whether every group is a range of ranks: none was dealt out.
  [[nodiscard]] bool ranges() const noexcept { return ranges_; }

 private:
  Rank smallest_ = 0, largest_ = 0;
  bool ranges_ = true;
  std::vector<int> group_of_, index_;
  std::vector<std::uint32_t> begin_;
  std::vector<Rank> order_;
};

struct Routes;  // tutti/routes.h

// What an algorithm needs to know about a call; equal on all ranks but for nothing.
struct Shape {
  Rank ranks = 1;
  Rank root = 0;
  bool in_place = false;
  // Levels of the machine, innermost first, each coarser than the one before; empty when flat.
  const std::vector<Grouping>* levels = nullptr;
  // Rings and trees that share the machine's links, for algorithms that follow them; each through all ranks.
  const Routes* routes = nullptr;
  // The dimensions of the torus whose nodes the ranks are, numbered with the last dimension fastest; empty where they are none.
  std::span<const Rank> torus = {};
  // Or where ranks sit in pods, so many that follow each other (the last one may have fewer): ranks below switches whose way to
  // other pods all of them share. 0: they do not. No schedule depends on it, only LevelCost::carried.
  Rank pod = 0;
};

struct Chunking {
  std::uint32_t pieces = 1;  // into how many pieces an algorithm that can pipeline cuts what it would send at once
  std::uint32_t radix = 2;   // into how many parts groups of ranks split, where that is a parameter of the algorithm

  friend auto operator<=>(const Chunking&, const Chunking&) = default;
};

// How a builder's collective cuts its buffers: chunk counts of input and output on this rank.
[[nodiscard]] std::uint32_t input_chunks(Collective collective, Rank ranks, std::uint32_t chunks_per_block);
[[nodiscard]] std::uint32_t output_chunks(Collective collective, Rank ranks, std::uint32_t chunks_per_block);

// Writes one rank's schedule step by step and derives the dependencies from slice overlap
// (read after write, write after read, write after write).
//
// In place, input and output share memory. The builder then addresses the shared part through the output
// (or, where the output is a part of the input, through the input) so that hazards are seen, and drops copies onto themselves:
//
//   all_reduce, scan, exscan; reduce and broadcast at the root    input chunk i  is  output chunk i
//   all_gather; gather at the root                                input chunk i  is  output chunk me*C + i
//   reduce_scatter; scatter at the root                           output chunk i is  input chunk me*C + i
//   all_to_all                                                    input chunk i  is  output chunk i; the builder first saves the
//                                                                 input in scratch, and input() names the saved copy
// Being in place is a rank's own affair: it must not change what is sent or received.
class Builder {
 public:
  // `shape` is read during construction only.
  Builder(Collective collective, std::string algorithm, Rank me, const Shape& shape, std::uint32_t chunks_per_block);

  [[nodiscard]] Rank me() const noexcept { return schedule_.rank; }
  [[nodiscard]] Rank ranks() const noexcept { return schedule_.ranks; }

  [[nodiscard]] Slice input(std::uint32_t chunk, std::uint32_t count = 1) const;
  [[nodiscard]] Slice output(std::uint32_t chunk, std::uint32_t count = 1) const;
  // New scratch chunks, each the size of the data chunk in `like` it stands for. `like` may name chunks of a buffer that
  // this rank does not have (the root's output in a gather): only their sizes matter.
  [[nodiscard]] Slice scratch_like(Slice like);

  void send(Slice from, Rank peer, std::uint16_t channel = 0);
  void recv(Rank peer, Slice to, std::uint16_t channel = 0);
  void copy(Slice from, Slice to);
  // to = to (+) from
  void reduce(Slice from, Slice to);
  // to = from (+) to: `from` holds contributions of lower ranks than `to` does
  void reduce_left(Slice from, Slice to);

  [[nodiscard]] Schedule finish() &&;

 private:
  [[nodiscard]] std::uint32_t data_number_of(Buffer buffer) const;

  bool shares_input_ = false;   // input() names a part of the output, starting at chunk shared_at_
  bool shares_output_ = false;  // output() names a part of the input
  std::uint32_t shared_at_ = 0;
  Slice saved_input_;  // all_to_all in place
  bool saves_input_ = false;
  Schedule schedule_;
};

// Where an inner schedule's buffer lies in the outer one: one slice per inner block, or a single slice that holds all of
// them in order. A single slice may hold a multiple of the inner chunks; each inner chunk then stands for as many outer ones.
using Place = std::vector<Slice>;

// Composition: writes the steps of `inner` (built for rank i of members.size() ranks, where members[i] is the outer
// builder's rank) into `outer`, with inner ranks renamed by `members`, inner buffers by their places, and channels shifted.
// Both sides of every message must embed with places of the same form (one slice, or one per block).
void embed(Builder& outer, const Schedule& inner, std::span<const Rank> members, const Place& input, const Place& output,
           std::uint16_t first_channel = 0);
// The same with members given by a function, for members that need no list.
void embed(Builder& outer, const Schedule& inner, const std::function<Rank(Rank)>& member, const Place& input,
           const Place& output, std::uint16_t first_channel = 0);
inline Rank same_rank(Rank rank) noexcept { return rank; }  // members: all ranks

// Fills in the dependencies from slice overlap in program order: what Builder::finish does; for schedules changed or loaded.
void derive_dependencies(Schedule& schedule);

// Text form, one line per step; parse(print(s)) == s. A text may hold the schedules of several ranks.
[[nodiscard]] std::string print(const Schedule& schedule);
[[nodiscard]] Result<std::vector<Schedule>> parse_schedules(std::string_view text);

}  // namespace tutti
