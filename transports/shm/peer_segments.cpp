#include "transports/shm/peer_segments.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include "transports/shm/segments.h"

namespace tutti::shm {

std::shared_ptr<const Mapping> PeerSegments::find(std::uint64_t segment) const {
  const std::lock_guard lock(mutex_);
  const auto found = mapped_.find(segment);
  return found == mapped_.end() ? nullptr : found->second;
}

Status PeerSegments::add(std::uint64_t segment, const Fd& memory, Rank peer) {
  if (find(segment)) return {};  // it came over another connection, too
  const auto size = sealed_size(memory, peer);
  if (!size) return size.error().clone();
  if (*size % kPage != 0) return Error(Code::protocol, fmt::format("rank {} sent {} bytes of memory", peer, *size), peer);
  auto mapping = Mapping::of(memory.get(), *size, PROT_READ | PROT_WRITE);
  if (!mapping) return mapping.because(fmt::format("mapping memory that rank {} has allocated", peer));
  const std::lock_guard lock(mutex_);
  std::erase_if(mapped_, [](const auto& entry) { return SegmentView(*entry.second).state().freed.load() != 0; });
  mapped_.emplace(segment, std::make_shared<const Mapping>(std::move(*mapping)));
  return {};
}

}  // namespace tutti::shm
