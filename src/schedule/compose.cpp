#include <algorithm>

#include "schedule/access.h"
#include "tutti/schedule.h"

namespace tutti {
namespace {

// Renames slices of an inner schedule into the outer one.
class Renaming {
 public:
  Renaming(Builder& outer, const Schedule& inner, const Place& input, const Place& output)
      : inner_(inner), input_(input), output_(output) {
    whole_ = input.size() <= 1 && output.size() <= 1;
    if (whole_) width_ = width();
    std::uint32_t at = 0;
    inner.scratch.for_each_range([&](std::uint32_t first, std::uint32_t count) {
      // Chunks that lie in one slice lie side by side in the outer buffer, too.
      const std::uint32_t step = whole_ && inner.collective != Collective::all_to_all ? count : 1;
      for (std::uint32_t i = 0; i < count; i += step, at += step)
        scratch_.push_back({at, outer.scratch_like(data_chunks(first + i, step)).chunk});
    });
  }

  // With places of one slice a message stays one message; otherwise it is cut at every inner chunk, on both sides alike.
  template <class Visit>
  void for_each_pair(const Slice& a, const Slice& b, Visit&& visit) const {
    if (whole_) return visit(range(a), range(b));
    for (std::uint32_t i = 0; i < a.count; ++i) visit(chunk(a.buffer, a.chunk + i), chunk(b.buffer, b.chunk + i));
  }

 private:
  [[nodiscard]] Slice range(const Slice& s) const {
    Slice first = chunk(s.buffer, s.chunk);
    first.count = s.count * width_;
    return first;
  }
  [[nodiscard]] Slice chunk(Buffer buffer, std::uint32_t index) const {
    if (buffer == Buffer::scratch) return {Buffer::scratch, outer_scratch(index), width_};
    const Place& place = buffer == Buffer::input ? input_ : output_;
    if (place.size() == 1) return {place[0].buffer, place[0].chunk + index * width_, width_};
    const Slice& block = place[index / inner_.chunks_per_block];
    return {block.buffer, block.chunk + index % inner_.chunks_per_block, 1};
  }
  // Outer chunks per inner chunk: a single slice may be wider than what the inner schedule needs.
  [[nodiscard]] std::uint32_t width() const {
    const bool by_input = !input_.empty();
    const std::uint32_t chunks = by_input ? input_chunks(inner_.collective, inner_.ranks, inner_.chunks_per_block)
                                          : output_chunks(inner_.collective, inner_.ranks, inner_.chunks_per_block);
    return std::max(1U, (by_input ? input_ : output_).front().count / chunks);
  }
  [[nodiscard]] std::uint32_t outer_scratch(std::uint32_t index) const {
    const auto next =
        std::upper_bound(scratch_.begin(), scratch_.end(), index, [](std::uint32_t i, const Moved& m) { return i < m.inner; });
    const Moved& moved = *std::prev(next);
    return moved.outer + (index - moved.inner) * width_;
  }
  // The outer chunks behind the sizes of inner scratch chunks.
  [[nodiscard]] Slice data_chunks(std::uint32_t like, std::uint32_t count) const {
    Slice outer = data_chunk(like);
    outer.count *= count;
    return outer;
  }
  [[nodiscard]] Slice data_chunk(std::uint32_t like) const {
    const std::uint32_t inputs = input_chunks(inner_.collective, inner_.ranks, inner_.chunks_per_block);
    const std::uint32_t outputs = output_chunks(inner_.collective, inner_.ranks, inner_.chunks_per_block);
    if (inner_.collective == Collective::all_to_all)
      return like < inputs ? chunk(Buffer::input, like) : chunk(Buffer::output, like - inputs);
    const bool by_input = inputs > outputs || (inputs == outputs && !input_.empty());
    return chunk(by_input ? Buffer::input : Buffer::output, like);
  }

  const Schedule& inner_;
  const Place &input_, &output_;
  struct Moved {
    std::uint32_t inner, outer;  // scratch chunks from here on
  };
  std::vector<Moved> scratch_;
  bool whole_ = true;
  std::uint32_t width_ = 1;
};

}  // namespace

void embed(Builder& outer, const Schedule& inner, std::span<const Rank> members, const Place& input, const Place& output,
           std::uint16_t first_channel) {
  embed(
      outer, inner, [members](Rank r) { return members[static_cast<std::size_t>(r)]; }, input, output, first_channel);
}

void embed(Builder& outer, const Schedule& inner, const std::function<Rank(Rank)>& member, const Place& input,
           const Place& output, std::uint16_t first_channel) {
  const Renaming names(outer, inner, input, output);
  for (const Step& step : inner.steps) {
    const auto channel = static_cast<std::uint16_t>(first_channel + step.channel);
    const Rank peer = communicates(step) ? member(step.peer) : kNoRank;
    switch (step.kind) {
      case StepKind::send:
        names.for_each_pair(step.from, step.from, [&](Slice from, Slice) { outer.send(from, peer, channel); });
        break;
      case StepKind::recv:
        names.for_each_pair(step.to, step.to, [&](Slice to, Slice) { outer.recv(peer, to, channel); });
        break;
      case StepKind::copy:
        names.for_each_pair(step.from, step.to, [&](Slice from, Slice to) { outer.copy(from, to); });
        break;
      case StepKind::reduce:
        names.for_each_pair(step.from, step.to, [&](Slice from, Slice to) {
          step.from_is_left ? outer.reduce_left(from, to) : outer.reduce(from, to);
        });
        break;
      case StepKind::recv_reduce:
      case StepKind::fold:
        break;  // passes run on finished schedules only; builders never make these
    }
  }
}

}  // namespace tutti
