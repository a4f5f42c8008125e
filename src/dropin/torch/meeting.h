// How the ranks of a group find each other: over the store that PyTorch gives them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "tutti/communicator.h"

namespace tutti_torch {

using Store = c10::intrusive_ptr<c10d::Store>;

// Asked now and then: whether to give up waiting, with Code::aborted.
using GivenUp = std::function<bool()>;

// The communicator of all that meet at this key, which nobody has used before; rank 0 says where.
tutti::Result<tutti::Communicator> meet(const Store& store, const std::string& key, int rank, int size,
                                        const tutti::Options& options, const GivenUp& given_up);

// The same for a whole group, whose store may still hold what an earlier group has left there: torchrun starts ranks again with
// the store that those before have used.
struct Group {
  tutti::Communicator communicator;
  Store store;  // the part of it that only this group uses
};
tutti::Result<Group> meet_group(const Store& store, int rank, int size, const tutti::Options& options);

}  // namespace tutti_torch
