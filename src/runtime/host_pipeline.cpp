#include "runtime/host_pipeline.h"

namespace tutti {

Status HostPipeline::run(HostRounds& rounds, bool repeats) {
  const gpu::Entered entered(driver_, order_.context());
  std::optional<Beside> beside;
  for (std::size_t made = 0; !rounds.done(); ++made) {
    const std::size_t slot = made % kStagingSlots;
    auto next = rounds.next(slot);
    if (!next) return std::move(next.error());
    next->round.repeats = repeats;
    if (!beside) {
      auto streams = this->beside(repeats || rounds.done());
      if (!streams) return std::move(streams.error());
      beside = *streams;
      if (auto s = join(stream_, beside->fill); !s) return s;
    }
    if (auto s = run(std::move(*next), slot, *beside); !s) return s;
  }
  return beside ? join(beside->empty, stream_) : Status{};
}

// What is captured stays in the one stream: in others it would meet calls that are not.
Result<HostPipeline::Beside> HostPipeline::beside(bool in_turn) {
  if (in_turn) return Beside{stream_, stream_};
  auto fill = order_.own_stream(OwnStream::fill), empty = order_.own_stream(OwnStream::empty);
  if (!fill) return std::move(fill.error());
  if (!empty) return std::move(empty.error());
  return Beside{*fill, *empty};
}

Status HostPipeline::run(HostRounds::Next next, std::size_t slot, const Beside& beside) {
  if (auto& before = emptied_[slot])
    if (auto s = gpu::check(driver_, driver_.wait_event(beside.fill, before->handle(), 0), "cuStreamWaitEvent"); !s) return s;
  if (auto s = copy(next.before, beside.fill); !s) return s;
  if (auto s = join(beside.fill, stream_); !s) return s;
  if (auto s = order_.enqueue(std::move(next.round), stream_); !s) return s;
  if (auto s = join(stream_, beside.empty); !s) return s;
  if (auto s = copy(next.after, beside.empty); !s) return s;
  if (beside.empty == beside.fill) return {};
  auto emptied = gpu::Event::after(driver_, beside.empty);
  if (!emptied) return std::move(emptied.error());
  emptied_[slot] = std::move(*emptied);
  return {};
}

Status HostPipeline::join(gpu::StreamHandle from, gpu::StreamHandle to) { return gpu::join(driver_, from, order_.context(), to); }

Status HostPipeline::copy(const std::vector<HostRound::Copy>& copies, gpu::StreamHandle stream) {
  for (const auto& [to, from, bytes] : copies)
    if (auto s = gpu::check(driver_, driver_.copy(gpu::address(to), gpu::address(from), bytes, stream), "cuMemcpyAsync"); !s)
      return s;
  return {};
}

}  // namespace tutti
