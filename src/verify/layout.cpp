#include "verify/layout.h"

#include <fmt/format.h>

#include "schedule/text.h"

namespace tutti::verifier {
namespace {

bool has_input(const Schedule& s) {
  return (s.collective != Collective::broadcast && s.collective != Collective::scatter) || s.rank == s.root;
}
bool has_output(const Schedule& s) {
  return (s.collective != Collective::gather && s.collective != Collective::reduce) || s.rank == s.root;
}

bool input_has_blocks(Collective c) {
  return c == Collective::reduce_scatter || c == Collective::scatter || c == Collective::all_to_all;
}
bool output_has_blocks(Collective c) {
  return c == Collective::all_gather || c == Collective::gather || c == Collective::all_to_all;
}

}  // namespace

Result<Layout> Layout::of(const Schedule& s) {
  constexpr std::uint64_t kMaxChunks = 1U << 30;  // of one rank
  const std::uint64_t block = s.chunks_per_block;
  const std::uint64_t all = block * static_cast<std::uint64_t>(s.ranks);
  if (block == 0) return refuse(s, "has blocks of 0 chunks; a block has at least one");
  if (2 * all + s.scratch.size() > kMaxChunks)
    return Error(Code::unsupported, fmt::format("rank {} has more than {} chunks, too many to verify", s.rank, kMaxChunks),
                 s.rank);

  const std::uint64_t inputs = input_has_blocks(s.collective) ? all : block;
  const std::uint64_t outputs = output_has_blocks(s.collective) ? all : block;
  const std::uint64_t data = s.collective == Collective::all_to_all ? 2 * all : std::max(inputs, outputs);

  Layout layout(s);
  layout.scratch_like_.reserve(s.scratch.size());
  s.scratch.for_each_range([&](std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) layout.scratch_like_.push_back(first + i);
  });
  for (std::size_t i = 0; i < layout.scratch_like_.size(); ++i)
    if (const auto like = layout.scratch_like_[i]; like >= data)
      return refuse(s, fmt::format("scratch[{}] has the size of data chunk {}, but there are only {}", i, like, data));
  layout.chunks_ = {static_cast<std::uint32_t>(has_input(s) ? inputs : 0),
                    static_cast<std::uint32_t>(has_output(s) ? outputs : 0), s.scratch.size()};
  const auto [in, out, scratch] = layout.chunks_;
  const auto own_block = static_cast<std::uint32_t>(static_cast<std::uint64_t>(s.rank) * block);
  const bool shared = s.in_place && in > 0 && out > 0 && s.collective != Collective::send_recv;
  std::uint32_t end = in + out;
  layout.base_ = {0, in, 0};
  if (shared && out >= in) {
    layout.base_ = {out > in ? own_block : 0, 0, 0};
    end = out;
  } else if (shared) {
    layout.base_ = {0, own_block, 0};
    end = in;
  }
  layout.base_[2] = end;
  layout.cells_ = end + scratch;
  return layout;
}

bool Layout::writable(const Range& range) const noexcept {
  const auto within = [&](Buffer buffer) {
    const auto b = static_cast<std::size_t>(buffer);
    return range.begin >= base_[b] && range.end <= base_[b] + chunks_[b];
  };
  return within(Buffer::output) || within(Buffer::scratch);
}

Slice Layout::slice(std::uint32_t cell) const noexcept {
  for (const Buffer buffer : {Buffer::output, Buffer::scratch, Buffer::input}) {
    const auto b = static_cast<std::size_t>(buffer);
    if (cell >= base_[b] && cell < base_[b] + chunks_[b]) return {buffer, cell - base_[b], 1};
  }
  return {};
}

std::uint64_t Layout::datum(Buffer buffer, std::uint32_t chunk) const noexcept {
  const Schedule& s = *schedule_;
  const std::uint64_t block = s.chunks_per_block;
  const std::uint64_t all = block * static_cast<std::uint64_t>(s.ranks);
  const auto me = static_cast<std::uint64_t>(s.rank);
  if (s.collective == Collective::all_to_all) {
    if (buffer == Buffer::scratch) {
      const std::uint32_t like = scratch_like_[chunk];
      return like < all ? datum(Buffer::input, like) : datum(Buffer::output, static_cast<std::uint32_t>(like - all));
    }
    if (buffer == Buffer::input) return me * all + chunk;
    return (chunk / block) * all + me * block + chunk % block;
  }
  if (buffer == Buffer::scratch) return scratch_like_[chunk];
  const bool blocks_elsewhere = buffer == Buffer::input ? output_has_blocks(s.collective) : input_has_blocks(s.collective);
  return blocks_elsewhere ? me * block + chunk : chunk;
}

std::string describe(const Schedule& schedule, std::size_t step) {
  return fmt::format("rank {} step {} ({})", schedule.rank, step, step_text(schedule, schedule.steps[step]));
}

Error refuse(const Schedule& schedule, std::string why) {
  return {Code::invalid_argument, fmt::format("rank {} {}", schedule.rank, why), schedule.rank};
}

}  // namespace tutti::verifier
