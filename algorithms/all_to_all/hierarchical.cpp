// Hierarchical all_to_all for blocks of one size: what the ranks of one outermost group (host) have for another group goes as one
// message. A carrier collects it from its group and sends it to a receiver there, who hands it out. Each rank of a group carries
// for its share of the groups, and receives from its share of them. Where there are fewer groups than ranks in a group, what goes
// to a group is cut into parts by destination, so that all ranks carry; the receiver of a part is one of its destinations.
//
//   6 ranks, 3 hosts     0   1  |  2   3  |  4   5
//   collect              <-2 3- |         |             for host 1 rank 0 carries, for hosts 2 and 3 rank 1; and so on
//   across               0 2 -------> 2   |             the blocks from 0, 1 to 2, 3
//   hand out                    |  2-->3  |             the blocks from 0, 1 to 3
//
// Inside a group blocks go straight to where they belong. Ranks are taken in the order of groups; where that is not the order of
// ranks, blocks are copied into it before and out of it after. Blocks that do not lie side by side are packed before a message.
// Source: J. L. Träff, A. Rougier, "MPI Collectives and Datatypes for Hierarchical All-to-all Communication", EuroMPI 2014;
// several carriers as in S. Kumar, Y. Sabharwal, R. Garg, P. Heidelberger, "Optimization of All-to-all Communication on the Blue
// Gene/L Supercomputer", ICPP 2008.
#include <algorithm>

#include "algorithms/all_to_all/all_to_all.h"
#include "algorithms/patterns/peers.h"
#include "algorithms/patterns/stages.h"

namespace tutti::all_to_all_algorithms {
namespace {

// Of positions in the order of groups.
struct Range {
  Rank first = 0, end = 0;
  [[nodiscard]] Rank count() const noexcept { return end - first; }
  // How many of it are not in the other one.
  [[nodiscard]] Rank without(Range other) const noexcept {
    return count() - std::max(0, std::min(end, other.end) - std::max(first, other.first));
  }
};

// A range without those of one's own group: what is before them and what is behind.
struct Remote {
  Range before, behind;
  [[nodiscard]] Rank count() const noexcept { return before.count() + behind.count(); }
  [[nodiscard]] bool in_one() const noexcept { return before.count() == 0 || behind.count() == 0; }
  // How many of these blocks come before a position.
  [[nodiscard]] Rank index(Rank position) const noexcept {
    return position < before.end ? position - before.first : before.count() + position - behind.first;
  }
};

// a * b / c, the product of which may be more than a Rank holds.
[[nodiscard]] Rank share(std::int64_t a, std::int64_t b, std::int64_t c) { return static_cast<Rank>(a * b / c); }
[[nodiscard]] Rank share_up(std::int64_t a, std::int64_t b, std::int64_t c) { return static_cast<Rank>((a * b + c - 1) / c); }

// Who carries what to whom. What goes to a group is cut into as many parts as it takes to give each rank of a group something to
// carry; parts are numbered through all groups, and each rank of a group carries a range of them.
class Carriers {
 public:
  explicit Carriers(const Shape& shape)
      : groups_(shape.levels->back()), count_(groups_.groups()), parts_(std::max<Rank>(1, groups_.smallest() / count_)) {}

  [[nodiscard]] const Grouping& groups() const noexcept { return groups_; }
  [[nodiscard]] Rank parts() const noexcept { return parts_; }  // of a group
  [[nodiscard]] Rank rank_at(Rank position) const noexcept { return groups_.members(0).data()[position]; }
  [[nodiscard]] Rank position(Rank rank) const noexcept {
    return group(groups_.group_of(rank)).first + groups_.index_in_group(rank);
  }
  [[nodiscard]] Range group(Rank g) const noexcept {
    const auto first = static_cast<Rank>(groups_.members(g).data() - groups_.members(0).data());
    return {first, first + static_cast<Rank>(groups_.members(g).size())};
  }
  // The destinations of a part.
  [[nodiscard]] Range part(Rank number) const noexcept {
    const Range all = group(number / parts_);
    const Rank in_group = number % parts_;
    return {all.first + share(in_group, all.count(), parts_), all.first + share(in_group + 1, all.count(), parts_)};
  }
  [[nodiscard]] Rank part_of(Rank rank) const noexcept {
    const Rank g = groups_.group_of(rank);
    return g * parts_ + share_up(groups_.index_in_group(rank) + 1, parts_, group(g).count()) - 1;
  }

  [[nodiscard]] Rank carrier(Rank from_group, Rank part) const noexcept {
    const Range all = group(from_group);
    return rank_at(all.first + share(part, all.count(), count_ * parts_));
  }
  [[nodiscard]] Range parts_carried_by(Rank rank) const noexcept {
    const Rank size = group(groups_.group_of(rank)).count(), index = groups_.index_in_group(rank);
    return {share_up(index, count_ * parts_, size), share_up(index + 1, count_ * parts_, size)};
  }
  [[nodiscard]] Remote carried_by(Rank rank) const noexcept {
    const Range parts = parts_carried_by(rank);
    if (parts.count() == 0) return {};
    return without_own({part(parts.first).first, part(parts.end - 1).end}, rank);
  }

  [[nodiscard]] Rank receiver(Rank from_group, Rank part_number) const noexcept {
    const Range all = part(part_number);
    return rank_at(all.first + share(from_group, all.count(), count_));
  }
  [[nodiscard]] Range groups_received_by(Rank rank) const noexcept {
    const Range all = part(part_of(rank));
    const Rank index = position(rank) - all.first;
    return {share_up(index, count_, all.count()), share_up(index + 1, count_, all.count())};
  }
  // The sources of what a rank hands out.
  [[nodiscard]] Remote received_by(Rank rank) const noexcept {
    const Range from = groups_received_by(rank);
    if (from.count() == 0) return {};
    return without_own({group(from.first).first, group(from.end - 1).end}, rank);
  }

 private:
  [[nodiscard]] Remote without_own(Range all, Rank rank) const noexcept {
    const Range own = group(groups_.group_of(rank));
    const Range before{all.first, std::clamp(own.first, all.first, all.end)};
    return {before, {std::clamp(own.end, before.end, all.end), all.end}};
  }

  const Grouping& groups_;
  Rank count_, parts_;
};

// The steps of one rank.
class Steps {
 public:
  Steps(Builder& b, const Carriers& carriers)
      : b_(b), carriers_(carriers), own_group_(carriers.groups().group_of(b.me())), own_(carriers.group(own_group_)) {
    if (!carriers.groups().ranges()) {
      input_ = room(b.ranks());
      output_ = room(b.ranks());
      for_each_run([&](Rank first, Range at) { b_.copy(b_.input(chunk(first), chunk(at.count())), in(at)); });
    } else {
      input_ = b.input(0, chunk(b.ranks()));
      output_ = b.output(0, chunk(b.ranks()));
    }
  }

  void exchange_inside() {
    const auto at = [&](Rank rank) { return Range{carriers_.position(rank), carriers_.position(rank) + 1}; };
    peers::for_each(carriers_.groups(), b_.me(), [&](Rank to, Rank from) {
      b_.send(in(at(to)), to, kInside);
      b_.recv(from, out(at(from)), kInside);
    });
    b_.copy(in(at(b_.me())), out(at(b_.me())));
  }

  void collect() {
    carried_ = carriers_.carried_by(b_.me());
    collected_.resize(static_cast<std::size_t>(own_.count()));
    peers::for_each(carriers_.groups(), b_.me(), [&](Rank to, Rank from) {
      const Remote theirs = carriers_.carried_by(to);
      if (theirs.count() > 0) b_.send(joined(theirs), to, kCollect);
      if (carried_.count() == 0) return;
      const Slice arrival = room(carried_.count());
      b_.recv(from, arrival, kCollect);
      collected_[static_cast<std::size_t>(carriers_.position(from) - own_.first)] = arrival;
    });
  }

  // Begins with another group in each group, so that not all send to the same one.
  void send_across() {
    const Range parts = carriers_.parts_carried_by(b_.me());
    for (Rank i = 0; i < parts.count(); ++i) {
      const Rank number = parts.first + (i + own_group_) % parts.count();
      if (number / carriers_.parts() == own_group_) continue;
      const Range part = carriers_.part(number);
      Slice message = in(part);
      if (own_.count() > 1) {
        message = room(own_.count() * part.count());
        for (Rank source = 0; source < own_.count(); ++source)
          b_.copy(held(source, part), {message.buffer, message.chunk + chunk(source * part.count()), chunk(part.count())});
      }
      b_.send(message, carriers_.receiver(own_group_, number), kInside);
    }
  }

  void hand_out() {
    const Rank number = carriers_.part_of(b_.me());
    const Range part = carriers_.part(number), from = carriers_.groups_received_by(b_.me());
    std::vector<Slice> blocks;  // of each source: one for each destination of the part
    for (Rank g = from.first; g < from.end; ++g) {
      if (g == own_group_) continue;
      const Range sources = carriers_.group(g);
      const Slice arrival = part.count() == 1 ? out(sources) : room(sources.count() * part.count());
      b_.recv(carriers_.carrier(g, number), arrival, kInside);
      for (Rank source = 0; source < sources.count(); ++source)
        blocks.push_back({arrival.buffer, arrival.chunk + chunk(source * part.count()), chunk(part.count())});
    }
    if (part.count() == 1) return;
    const Remote received = carriers_.received_by(b_.me());
    for (Rank at = part.first; at < part.end; ++at) {
      const Rank to = carriers_.rank_at(at), other = at - part.first;
      if (!blocks.empty()) {
        const bool to_me = to == b_.me();
        const Slice message = to_me ? Slice{} : room(received.count());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
          const Slice target = to_me ? out(nth(received, static_cast<Rank>(i)))
                                     : Slice{message.buffer, message.chunk + static_cast<std::uint32_t>(i), 1};
          b_.copy({blocks[i].buffer, blocks[i].chunk + chunk(other), 1}, target);
        }
        if (!to_me) b_.send(message, to, kHandOut);
      }
      if (to != b_.me()) take_in(carriers_.received_by(to), to);
    }
  }

  void finish() {
    if (!carriers_.groups().ranges())
      for_each_run([&](Rank first, Range at) { b_.copy(out(at), b_.output(chunk(first), chunk(at.count()))); });
  }

 private:
  static constexpr std::uint16_t kInside = 0, kCollect = 1, kHandOut = 2;

  static std::uint32_t chunk(Rank n) { return static_cast<std::uint32_t>(n); }
  static Slice sub(const Slice& all, Range range) { return {all.buffer, all.chunk + chunk(range.first), chunk(range.count())}; }
  [[nodiscard]] Slice in(Range at) const { return sub(input_, at); }
  [[nodiscard]] Slice out(Range at) const { return sub(output_, at); }
  static Range nth(const Remote& remote, Rank i) {
    const Rank at = i < remote.before.count() ? remote.before.first + i : remote.behind.first + i - remote.before.count();
    return {at, at + 1};
  }

  Slice room(Rank blocks) {
    Slice all{Buffer::scratch, 0, chunk(blocks)};
    for (Rank done = 0; done < blocks; done += b_.ranks()) {
      const Slice some = b_.scratch_like({Buffer::output, 0, chunk(std::min(b_.ranks(), blocks - done))});
      if (done == 0) all.chunk = some.chunk;
    }
    return all;
  }
  // Where this rank has what a rank of its group gave it to carry.
  [[nodiscard]] Slice held(Rank source, Range part) const {
    if (own_.first + source == carriers_.position(b_.me())) return in(part);
    const Slice& from = collected_[static_cast<std::size_t>(source)];
    return {from.buffer, from.chunk + chunk(carried_.index(part.first)), chunk(part.count())};
  }
  // This rank's blocks for all those destinations.
  Slice joined(const Remote& to) {
    if (to.in_one()) return in(to.before.count() > 0 ? to.before : to.behind);
    const Slice all = room(to.count());
    b_.copy(in(to.before), {all.buffer, all.chunk, chunk(to.before.count())});
    b_.copy(in(to.behind), {all.buffer, all.chunk + chunk(to.before.count()), chunk(to.behind.count())});
    return all;
  }
  void take_in(const Remote& sources, Rank from) {
    if (sources.count() == 0) return;
    if (sources.in_one()) return b_.recv(from, out(sources.before.count() > 0 ? sources.before : sources.behind), kHandOut);
    const Slice all = room(sources.count());
    b_.recv(from, all, kHandOut);
    b_.copy({all.buffer, all.chunk, chunk(sources.before.count())}, out(sources.before));
    b_.copy({all.buffer, all.chunk + chunk(sources.before.count()), chunk(sources.behind.count())}, out(sources.behind));
  }
  // visit(first, positions) for ranks that follow each other in both orders.
  template <class Visit>
  void for_each_run(Visit&& visit) const {
    for (Rank at = 0, run = 1; at < b_.ranks(); at += run, run = 1) {
      const Rank first = carriers_.rank_at(at);
      while (at + run < b_.ranks() && carriers_.rank_at(at + run) == first + run) ++run;
      visit(first, Range{at, at + run});
    }
  }

  Builder& b_;
  const Carriers& carriers_;
  Rank own_group_;
  Range own_;
  Slice input_, output_;  // in the order of groups
  Remote carried_;
  std::vector<Slice> collected_;  // by source in the group
};

// LevelCost::posted, inside groups and between them.
struct Posted {
  Rank inside = 0, across = 0;

  Posted(const Shape& shape, const Carriers& carriers) {
    const Grouping& groups = carriers.groups();
    const auto at = [](Rank i) { return static_cast<std::size_t>(i); };
    std::vector<Rank> carrying(at(groups.groups())), handing_out(at(groups.groups() * carriers.parts()));
    for (Rank r = 0; r < shape.ranks; ++r) {
      carrying[at(groups.group_of(r))] += carriers.carried_by(r).count() > 0;
      handing_out[at(carriers.part_of(r))] += carriers.received_by(r).count() > 0;
    }
    for (Rank r = 0; r < shape.ranks; ++r) {
      const Rank group = groups.group_of(r), part = carriers.part_of(r), peers = carriers.group(group).count() - 1;
      const bool carries = carriers.carried_by(r).count() > 0, hands_out = carriers.received_by(r).count() > 0;
      const Rank sent = peers + carrying[at(group)] - carries + (hands_out ? carriers.part(part).count() - 1 : 0);
      const Rank received =
          peers + (carries ? peers : 0) + (carriers.part(part).count() > 1 ? handing_out[at(part)] - hands_out : 0);
      inside = std::max({inside, sent, received});
      const Range carried = carriers.parts_carried_by(r), from = carriers.groups_received_by(r);
      across = std::max({across, carried.without({group * carriers.parts(), (group + 1) * carriers.parts()}),
                         from.without({group, group + 1})});
    }
  }
};

// Longest chain inside groups: a message to a carrier, then one from a receiver.
LevelCost chain_inside(const Shape& shape, const Carriers& carriers) {
  const Grouping& groups = carriers.groups();
  if (groups.largest() == 1) return {};
  if (groups.groups() == 1) return {.rounds = 1, .path = 1};
  Rank collected = 0, handed_out = 0;
  for (Rank r = 0; r < shape.ranks; ++r) {
    collected = std::max(collected, carriers.carried_by(r).count());
    if (carriers.part(carriers.part_of(r)).count() > 1) handed_out = std::max(handed_out, carriers.received_by(r).count());
  }
  // Two groups that meet in this way are not in one share. When all others are smaller than the largest, one of them counts.
  const Rank size = groups.largest(), shares = groups.groups() % size;
  const bool alone = groups.equal_sizes() && carriers.parts() == 1 && groups.groups() > size && shares == 1;
  return {.rounds = handed_out > 0 ? 2U : 1U, .path = static_cast<std::uint64_t>(collected + handed_out - (alone ? size : 0))};
}

}  // namespace

Schedule hierarchical(Rank me, const Shape& shape, const Chunking&) {
  const Carriers carriers(shape);
  Builder b(Collective::all_to_all, "hierarchical", me, shape, 1);
  Steps steps(b, carriers);
  steps.exchange_inside();
  steps.collect();
  steps.send_across();
  steps.hand_out();
  steps.finish();
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking&) {
  const Carriers carriers(shape);
  const Grouping& groups = carriers.groups();
  const std::size_t levels = shape.levels->size();
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = levels == 1 && groups.equal_sizes()};
  LevelCost inside = chain_inside(shape, carriers);
  LevelCost across{.level = static_cast<int>(levels)};
  for (Rank r = 0; r < shape.ranks; ++r) {
    const Range own = carriers.group(groups.group_of(r)), part = carriers.part(carriers.part_of(r));
    const Rank carried = carriers.carried_by(r).count(), handed_out = (part.count() - 1) * carriers.received_by(r).count();
    const Rank sent = own.count() - 1 + shape.ranks - own.count() - carried + handed_out;
    inside.sent = std::max(inside.sent, static_cast<std::uint64_t>(own.count() > 1 ? sent : 0));
    across.path =
        std::max(across.path,
                 groups.groups() > 1 ? static_cast<std::uint64_t>(own.count()) * static_cast<std::uint64_t>(part.count()) : 0);
    across.sent = std::max(across.sent, static_cast<std::uint64_t>(own.count()) * static_cast<std::uint64_t>(carried));
  }
  const Posted posted(shape, carriers);
  inside.posted = static_cast<std::uint64_t>(posted.inside);
  across.posted = static_cast<std::uint64_t>(posted.across);
  const std::vector<std::uint64_t> peers = peers::weigh(shape, [](Rank) { return 1; });
  for (std::size_t level = 0; level < levels; ++level) {
    if (peers[level] == 0) continue;
    cost.levels.push_back(inside);
    cost.levels.back().level = static_cast<int>(level);
    if (levels == 1) continue;
    // With each peer a block, and what one of the two carries and hands out.
    cost.levels.back().sent = std::min(inside.sent, peers[level] * (inside.path + 1));
    cost.levels.back().posted = std::min(inside.posted, 3 * peers[level]);
  }
  across.rounds = groups.groups() > 1 ? 1 : 0;
  across.leaving = peers::leaving(shape);
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti::all_to_all_algorithms
