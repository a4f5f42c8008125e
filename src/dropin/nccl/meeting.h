// Where the ranks of a communicator meet when it can no longer carry a message: every rank has a place that the others know of.
#pragma once

#include <optional>
#include <vector>

#include "tutti/communicator.h"
#include "tutti/standby_id.h"

namespace tutti::nccl {

class Meeting {
 public:
  // By all ranks while all is well.
  Status prepare(Communicator& communicator);
  // The place of `host`, a rank that will be there; each serves once.
  Result<UniqueId> place_of(Rank host, Rank me);

 private:
  std::optional<StandbyId> own_;
  std::vector<UniqueId> places_;  // none of those that were used, or could not be made
};

}  // namespace tutti::nccl
