// A meeting place for bad times: ranks hand its id around while all is well, and meet there when their communicator is broken,
// for one of those that are left.
//
//   tutti::StandbyId standby = tutti::StandbyId::make().value_or_throw();  // on every rank
//   ... all_gather of standby.id().bytes ...
//   ... a rank dies; the others agree on whose meeting place they use, say the lowest one's, and there:
//   standby.open().value_or_throw();
//   ... and on all that are left: Communicator::create(id, new_rank, new_size)
//
// Until it is opened it costs a listening socket, and no thread.
#pragma once

#include <memory>

#include "tutti/result.h"
#include "tutti/unique_id.h"

namespace tutti {

class StandbyId {
 public:
  static Result<StandbyId> make();
  StandbyId(StandbyId&&) noexcept;
  StandbyId& operator=(StandbyId&&) noexcept;
  ~StandbyId();

  [[nodiscard]] const UniqueId& id() const noexcept;
  // Serves the ranks from now on as create_unique_id() does; ranks that have come before wait. Code::invalid_argument the second
  // time.
  Status open(double lifetime_s = 3600);

 private:
  struct Impl;
  explicit StandbyId(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tutti
