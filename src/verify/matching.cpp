#include "verify/matching.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "schedule/text.h"

namespace tutti::verifier {

Numbering::Numbering(std::span<const Schedule> ranks) {
  first_.reserve(ranks.size() + 1);
  first_.push_back(0);
  for (const Schedule& s : ranks) first_.push_back(first_.back() + static_cast<std::uint32_t>(s.steps.size()));
  rank_.reserve(first_.back());
  for (const Schedule& s : ranks) rank_.insert(rank_.end(), s.steps.size(), s.rank);
}

Sizes::Sizes(std::span<const Schedule> ranks, bool equal_blocks)
    : ranks_(ranks.size()),
      block_(ranks.front().chunks_per_block),
      equal_blocks_(equal_blocks),
      // In place, what goes to a rank has the size of what comes from it: the memory is the same.
      symmetric_(ranks.front().collective == Collective::all_to_all &&
                 std::any_of(ranks.begin(), ranks.end(), [](const Schedule& s) { return s.in_place; })) {}

std::uint64_t Sizes::size(std::uint64_t datum) const noexcept {
  if (equal_blocks_) return datum % block_;
  if (!symmetric_) return datum;
  const std::uint64_t pair = datum / block_, from = pair / ranks_, to = pair % ranks_;
  return (std::min(from, to) * ranks_ + std::max(from, to)) * block_ + datum % block_;
}

namespace {

// One end of a message, and the stream that it is in.
struct End {
  Rank source, destination;
  std::uint32_t channel;
  std::uint32_t step;  // in the common numbering
  [[nodiscard]] auto stream() const noexcept { return std::tuple(source, destination, channel); }
};

struct Ends {
  std::vector<End> senders, receivers;
};

// Ends with equal keys stay in their order.
template <class Key>
void sort_by(std::vector<End>& ends, Key key) {
  std::uint32_t most = 0;
  for (const End& end : ends) most = std::max(most, static_cast<std::uint32_t>(key(end)));
  if (most == 0) return;
  std::vector<std::uint32_t> begin(std::size_t{most} + 2);
  for (const End& end : ends) ++begin[static_cast<std::size_t>(key(end)) + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<End> sorted(ends.size());
  for (const End& end : ends) sorted[begin[static_cast<std::size_t>(key(end))]++] = end;
  ends = std::move(sorted);
}

// By stream, then in program order, in which they come.
void sort_by_stream(std::vector<End>& ends) {
  sort_by(ends, [](const End& end) { return end.channel; });
  sort_by(ends, [](const End& end) { return end.destination; });
  sort_by(ends, [](const End& end) { return end.source; });
}

Ends collect(std::span<const Schedule> ranks, const Numbering& numbering) {
  Ends ends;
  for (const Schedule& s : ranks)
    for (std::uint32_t i = 0; i < s.steps.size(); ++i) {
      const Step& step = s.steps[i];
      if (sends(step)) ends.senders.push_back({s.rank, step.peer, step.channel, numbering.of(s.rank, i)});
      if (receives(step)) ends.receivers.push_back({step.peer, s.rank, step.channel, numbering.of(s.rank, i)});
    }
  sort_by_stream(ends.senders);
  sort_by_stream(ends.receivers);
  return ends;
}

// A step by its number.
struct Place {
  const Schedule& schedule;
  std::uint32_t step;
  [[nodiscard]] const Step& operator*() const { return schedule.steps[step]; }
  [[nodiscard]] std::string text() const { return describe(schedule, step); }
};
Place place(std::span<const Schedule> ranks, const Numbering& numbering, std::uint32_t number) {
  const Rank rank = numbering.rank(number);
  return {ranks[static_cast<std::size_t>(rank)], number - numbering.first(rank)};
}

Error unmatched(const Place& p, std::size_t index) {
  return {Code::invalid_argument,
          fmt::format("{} has no {}: rank {} {} fewer than {} on channel {}", p.text(), sends(*p) ? "receive" : "send", (*p).peer,
                      sends(*p) ? "receives" : "sends", index + 1, (*p).channel),
          p.schedule.rank};
}

Status check_message(const Place& sender, const Place& receiver, const std::vector<Layout>& layouts, const Sizes& sizes) {
  const Slice &from = payload(*sender), &to = payload(*receiver);
  if (from.count != to.count)
    return Error(Code::invalid_argument,
                 fmt::format("{} sends {} chunks, but {} takes {}", sender.text(), from.count, receiver.text(), to.count),
                 sender.schedule.rank);
  const Layout& here = layouts[static_cast<std::size_t>(sender.schedule.rank)];
  const Layout& there = layouts[static_cast<std::size_t>(receiver.schedule.rank)];
  for (std::uint32_t i = 0; i < from.count; ++i)
    if (!sizes.fit(here, from, there, to, i))
      return Error(Code::invalid_argument,
                   fmt::format("{} and {} meet, but {} and {} are not of one size", sender.text(), receiver.text(),
                               slice_text({from.buffer, from.chunk + i, 1}), slice_text({to.buffer, to.chunk + i, 1})),
                   sender.schedule.rank);
  return {};
}

}  // namespace

Result<Matching> match(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const Numbering& numbering,
                       const Sizes& sizes) {
  const auto [senders, receivers] = collect(ranks, numbering);
  Matching m;
  m.partner.assign(numbering.steps(), kNoStep);
  m.next.assign(numbering.steps(), kNoStep);
  m.previous.assign(numbering.steps(), kNoStep);
  m.messages = senders.size();
  std::size_t in_stream = 0;
  for (std::size_t i = 0; i < std::max(senders.size(), receivers.size()); ++i) {
    const bool same = i < senders.size() && i < receivers.size() && senders[i].stream() == receivers[i].stream();
    in_stream = i > 0 && i < senders.size() && senders[i].stream() == senders[i - 1].stream() ? in_stream + 1 : 0;
    if (!same) {
      // The lower stream is the one whose other side is missing.
      const bool send_is_alone = i >= receivers.size() || (i < senders.size() && senders[i].stream() < receivers[i].stream());
      const End& alone = send_is_alone ? senders[i] : receivers[i];
      std::size_t index = 0;
      const auto& side = send_is_alone ? senders : receivers;
      while (index < i && side[i - index - 1].stream() == alone.stream()) ++index;
      return unmatched(place(ranks, numbering, alone.step), index);
    }
    const std::uint32_t s = senders[i].step, r = receivers[i].step;
    if (auto status = check_message(place(ranks, numbering, s), place(ranks, numbering, r), layouts, sizes); !status)
      return std::move(status.error());
    m.partner[s] = r;
    m.partner[r] = s;
    if (in_stream == 0) continue;
    const std::uint32_t s0 = senders[i - 1].step, r0 = receivers[i - 1].step;
    m.next[s0] = s, m.previous[s] = s0;
    m.next[r0] = r, m.previous[r] = r0;
  }
  return m;
}

Status check_local_sizes(const Schedule& schedule, const Layout& layout, const Sizes& sizes) {
  for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
    const Step& step = schedule.steps[i];
    if (step.kind == StepKind::send || step.kind == StepKind::recv) continue;
    Status status;
    const auto check = [&](const Slice& from) {
      for (std::uint32_t c = 0; c < from.count && status; ++c)
        if (!sizes.fit(layout, from, layout, step.to, c))
          status =
              Error(Code::invalid_argument,
                    fmt::format("{}: {} and {} are not of one size", describe(schedule, i),
                                slice_text({from.buffer, from.chunk + c, 1}), slice_text({step.to.buffer, step.to.chunk + c, 1})),
                    schedule.rank);
    };
    if (step.kind == StepKind::fold)
      for (auto o = step.operand_begin; o < step.operand_end; ++o) check(schedule.operands[o]);
    else
      check(step.from);
    if (!status) return status;
  }
  return {};
}

}  // namespace tutti::verifier
