#include "nccl/meeting.h"

#include <fmt/format.h>

#include <utility>

namespace tutti::nccl {

Status Meeting::prepare(Communicator& communicator) {
  UniqueId mine;
  if (auto made = StandbyId::make()) {
    mine = made->id();
    own_.emplace(std::move(*made));
  }
  places_.resize(static_cast<std::size_t>(communicator.size()));
  return communicator.run(
      {.collective = Collective::all_gather, .input = mine.bytes.data(), .output = places_.data(), .count = UniqueId::kSize});
}

Result<UniqueId> Meeting::place_of(Rank host, Rank me) {
  const UniqueId place = std::exchange(places_.at(static_cast<std::size_t>(host)), {});
  if (place == UniqueId{})
    return Error(
        Code::unsupported,
        fmt::format("the ranks have no place to meet: rank {}'s was used before for a communicator made of this one after "
                    "it was ended, or could not be made for want of sockets",
                    host));
  if (host == me)
    if (auto s = own_->open(); !s) return std::move(s.error());
  return place;
}

}  // namespace tutti::nccl
