// How the ranks of a group find each other: over the store that PyTorch gives them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "tutti/communicator.h"

namespace tutti_torch {

using Store = c10::intrusive_ptr<c10d::Store>;

// The communicator of all that meet at this key; rank 0 says where. Waiting ends where `given_up` says so, which is asked now and
// then, and then with Code::aborted.
tutti::Result<tutti::Communicator> meet(const Store& store, const std::string& key, int rank, int size, tutti::Options options,
                                        const std::function<bool()>& given_up = {});

}  // namespace tutti_torch
