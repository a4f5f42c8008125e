// How the ranks of a group find each other: over the store that PyTorch gives them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "tutti/communicator.h"

namespace tutti_torch {

using Store = c10::intrusive_ptr<c10d::Store>;

// Asked now and then, by any thread: an error ends the waiting.
using MayWait = std::function<tutti::Status()>;

// The communicator of rank `me` of a group and another one, of which `first` says where they meet: at this key, which nobody has
// used before. It is rank 0 there, and `second` rank 1.
tutti::Result<tutti::Communicator> meet_one(const Store& store, const std::string& key, int me, int first, int second,
                                            tutti::Options options, const MayWait& may_wait);

// The same for a whole group, whose store may still hold what an earlier group has left there: torchrun starts ranks again with
// the store that those before have used.
struct Group {
  tutti::Communicator communicator;
  Store store;  // the part of it that only this group uses
};
tutti::Result<Group> meet_group(const Store& store, int rank, int size, const tutti::Options& options);

}  // namespace tutti_torch
