#include <algorithm>
#include <cassert>
#include <map>

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

// Who last wrote and who has read since, per run of chunks of one buffer.
class Tracker {
 public:
  template <class Visit>
  void read(const Slice& s, std::uint32_t step, Visit&& depend) {
    for_each(s, [&](Run& run) {
      if (run.writer != kNone) depend(run.writer);
      if (run.readers.empty() || run.readers.back() != step) run.readers.push_back(step);
    });
  }
  template <class Visit>
  void write(const Slice& s, std::uint32_t step, Visit&& depend) {
    for_each(s, [&](Run& run) {
      if (run.writer != kNone) depend(run.writer);
      for (const auto reader : run.readers) depend(reader);
    });
    // One run replaces all it covers, so the map stays as small as what is distinguishable.
    runs_.erase(runs_.lower_bound(s.chunk), runs_.lower_bound(s.chunk + s.count));
    runs_[s.chunk] = {s.chunk + s.count, step, {}};
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Run {
    std::uint32_t end = 0;
    std::uint32_t writer = kNone;
    std::vector<std::uint32_t> readers;
  };

  void split(std::uint32_t at) {
    auto it = runs_.upper_bound(at);
    if (it == runs_.begin()) return;
    --it;
    if (it->first == at || it->second.end <= at) return;
    Run tail = it->second;
    it->second.end = at;
    runs_.emplace(at, std::move(tail));
  }

  template <class Visit>
  void for_each(const Slice& s, Visit&& visit) {
    const std::uint32_t end = s.chunk + s.count;
    split(s.chunk);
    split(end);
    std::uint32_t at = s.chunk;
    for (auto it = runs_.lower_bound(s.chunk); at < end;) {
      if (it == runs_.end() || it->first > at) {  // a gap: nobody touched these chunks yet
        const std::uint32_t gap_end = it == runs_.end() ? end : std::min(end, it->first);
        it = runs_.emplace_hint(it, at, Run{gap_end, kNone, {}});
      }
      visit(it->second);
      at = it->second.end;
      ++it;
    }
  }

  std::map<std::uint32_t, Run> runs_;
};

}  // namespace

void derive_dependencies(Schedule& schedule) {
  Tracker trackers[3];
  schedule.dependency_begin.assign(1, 0);
  schedule.dependency_list.clear();
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < schedule.steps.size(); ++i) {
    found.clear();
    const auto depend = [&](std::uint32_t on) {
      if (on != i) found.push_back(on);
    };
    const auto tracker = [&](const Slice& s) -> Tracker& { return trackers[static_cast<std::size_t>(s.buffer)]; };
    const Step& step = schedule.steps[i];
    for_each_read(schedule, step, [&](const Slice& s) { tracker(s).read(s, i, depend); });
    for_each_write(step, [&](const Slice& s) { tracker(s).write(s, i, depend); });
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    schedule.dependency_list.insert(schedule.dependency_list.end(), found.begin(), found.end());
    schedule.dependency_begin.push_back(static_cast<std::uint32_t>(schedule.dependency_list.size()));
  }
}

}  // namespace tutti
