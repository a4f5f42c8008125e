#include <algorithm>
#include <cassert>

#include "schedule/access.h"
#include "tutti/schedule.h"

namespace tutti {

Builder::Builder(Collective collective, std::string algorithm, Rank me, const Shape& shape, std::uint32_t chunks_per_block) {
  schedule_.collective = collective;
  schedule_.algorithm = std::move(algorithm);
  schedule_.rank = me;
  schedule_.ranks = shape.ranks;
  schedule_.root = shape.root;
  schedule_.in_place = shape.in_place;
  schedule_.chunks_per_block = chunks_per_block;
  if (!shape.in_place) return;

  const auto own_block = static_cast<std::uint32_t>(me) * chunks_per_block;
  const bool at_root = me == shape.root;
  switch (collective) {
    case Collective::all_reduce:
    case Collective::barrier:
    case Collective::scan:
    case Collective::exscan:
      shares_input_ = true;
      break;
    case Collective::reduce:
    case Collective::broadcast:
      shares_input_ = at_root;
      break;
    case Collective::all_gather:
      shares_input_ = true, shared_at_ = own_block;
      break;
    case Collective::gather:
      shares_input_ = at_root, shared_at_ = own_block;
      break;
    case Collective::reduce_scatter:
      shares_output_ = true, shared_at_ = own_block;
      break;
    case Collective::scatter:
      shares_output_ = at_root, shared_at_ = own_block;
      break;
    case Collective::all_to_all: {
      const Slice all{Buffer::output, 0, input_chunks(collective, shape.ranks, chunks_per_block)};
      const Slice saved = scratch_like({Buffer::input, 0, all.count});
      copy(all, saved);
      saved_input_ = saved;
      saves_input_ = true;
      break;
    }
    case Collective::send_recv:
      break;
  }
}

Slice Builder::input(std::uint32_t chunk, std::uint32_t count) const {
  if (saves_input_) return {saved_input_.buffer, saved_input_.chunk + chunk, count};
  if (shares_input_) return {Buffer::output, shared_at_ + chunk, count};
  return {Buffer::input, chunk, count};
}

Slice Builder::output(std::uint32_t chunk, std::uint32_t count) const {
  if (shares_output_) return {Buffer::input, shared_at_ + chunk, count};
  return {Buffer::output, chunk, count};
}

Slice Builder::scratch_like(Slice like) {
  ChunkList& scratch = schedule_.scratch;
  const std::uint32_t begin = scratch.size();
  if (like.buffer == Buffer::scratch)
    for (std::uint32_t i = 0; i < like.count; ++i) scratch.push_back(scratch[like.chunk + i]);
  else
    scratch.append(like.chunk + data_number_of(like.buffer), like.count);
  return {Buffer::scratch, begin, like.count};
}

// Where a buffer's chunks begin in the numbering of data chunks.
std::uint32_t Builder::data_number_of(Buffer buffer) const {
  const bool input = buffer == Buffer::input;
  const std::uint32_t own_block = static_cast<std::uint32_t>(schedule_.rank) * schedule_.chunks_per_block;
  switch (schedule_.collective) {
    case Collective::all_gather:
    case Collective::gather:
      return input ? own_block : 0;
    case Collective::reduce_scatter:
    case Collective::scatter:
      return input ? 0 : own_block;
    case Collective::all_to_all:
      return input ? 0 : static_cast<std::uint32_t>(schedule_.ranks) * schedule_.chunks_per_block;
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::broadcast:
    case Collective::barrier:
    case Collective::scan:
    case Collective::exscan:
    case Collective::send_recv:
      return 0;
  }
  return 0;
}

void Builder::send(Slice from, Rank peer, std::uint16_t channel) {
  schedule_.steps.push_back({.kind = StepKind::send, .channel = channel, .peer = peer, .from = from});
}
void Builder::recv(Rank peer, Slice to, std::uint16_t channel) {
  schedule_.steps.push_back({.kind = StepKind::recv, .channel = channel, .peer = peer, .to = to});
}
void Builder::copy(Slice from, Slice to) {
  if (from == to) return;
  schedule_.steps.push_back({.kind = StepKind::copy, .from = from, .to = to});
}
void Builder::reduce(Slice from, Slice to) { schedule_.steps.push_back({.kind = StepKind::reduce, .from = from, .to = to}); }
void Builder::reduce_left(Slice from, Slice to) {
  schedule_.steps.push_back({.kind = StepKind::reduce, .from_is_left = true, .from = from, .to = to});
}

Schedule Builder::finish() && {
  derive_dependencies(schedule_);
  return std::move(schedule_);
}

namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

// Chunks of one buffer as far as slices tell them apart: every chunk is a cell; or, where there are many more chunks than slices,
// what lies between two ends of slices. Who has written each cell last, and who has read it since.
class Tracker {
 public:
  // First all slices, then finish(), then reads and writes.
  void add(const Slice& s) {
    ends_.push_back(s.chunk);
    ends_.push_back(end_of(s));
    all_ = std::max(all_, ends_.back());
  }
  void finish() {
    if (all_ <= ends_.size()) {
      ends_.clear();
    } else {
      std::sort(ends_.begin(), ends_.end());
      ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
      all_ = ends_.size();
    }
    writer_.assign(all_, kNone);
    readers_.assign(all_, kNone);
  }

  template <class Visit>
  void read(const Slice& s, std::uint32_t step, Visit&& depend) {
    for (std::size_t cell = cell_at(s.chunk), end = cell_at(end_of(s)); cell < end; ++cell) {
      if (writer_[cell] != kNone) depend(writer_[cell]);
      if (readers_[cell] != kNone && pool_[readers_[cell]].step == step) continue;
      pool_.push_back({step, readers_[cell]});
      readers_[cell] = static_cast<std::uint32_t>(pool_.size() - 1);
    }
  }
  template <class Visit>
  void write(const Slice& s, std::uint32_t step, Visit&& depend) {
    for (std::size_t cell = cell_at(s.chunk), end = cell_at(end_of(s)); cell < end; ++cell) {
      if (writer_[cell] != kNone) depend(writer_[cell]);
      for (auto r = readers_[cell]; r != kNone; r = pool_[r].next) depend(pool_[r].step);
      writer_[cell] = step;
      readers_[cell] = kNone;
    }
  }

 private:
  struct Reader {
    std::uint32_t step, next;
  };

  static std::uint64_t end_of(const Slice& s) noexcept { return std::uint64_t{s.chunk} + s.count; }
  [[nodiscard]] std::size_t cell_at(std::uint64_t chunk) const {
    if (ends_.empty()) return chunk;
    return static_cast<std::size_t>(std::lower_bound(ends_.begin(), ends_.end(), chunk) - ends_.begin());
  }

  std::uint64_t all_ = 0;            // where the last slice ends; then the number of cells
  std::vector<std::uint64_t> ends_;  // of slices, ascending; none where every chunk is a cell
  std::vector<std::uint32_t> writer_, readers_;
  std::vector<Reader> pool_;
};

}  // namespace

void derive_dependencies(Schedule& schedule) {
  Tracker trackers[3];
  const auto tracker = [&](const Slice& s) -> Tracker& { return trackers[static_cast<std::size_t>(s.buffer)]; };
  for (const Step& step : schedule.steps) {
    for_each_read(schedule, step, [&](const Slice& s) { tracker(s).add(s); });
    for_each_write(step, [&](const Slice& s) { tracker(s).add(s); });
  }
  for (Tracker& t : trackers) t.finish();

  schedule.dependency_begin.assign(1, 0);
  schedule.dependency_begin.reserve(schedule.steps.size() + 1);
  schedule.dependency_list.clear();
  std::vector<std::uint32_t> found, found_by(schedule.steps.size(), kNone);
  for (std::uint32_t i = 0; i < schedule.steps.size(); ++i) {
    found.clear();
    const auto depend = [&](std::uint32_t on) {
      if (on == i || found_by[on] == i) return;
      found_by[on] = i;
      found.push_back(on);
    };
    const Step& step = schedule.steps[i];
    for_each_read(schedule, step, [&](const Slice& s) { tracker(s).read(s, i, depend); });
    for_each_write(step, [&](const Slice& s) { tracker(s).write(s, i, depend); });
    std::sort(found.begin(), found.end());
    schedule.dependency_list.insert(schedule.dependency_list.end(), found.begin(), found.end());
    schedule.dependency_begin.push_back(static_cast<std::uint32_t>(schedule.dependency_list.size()));
  }
}

}  // namespace tutti
