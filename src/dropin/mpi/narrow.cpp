#include "mpi/narrow.h"

#include <algorithm>
#include <mutex>
#include <set>

namespace tutti::mpi {
namespace {

// Nobody tells when a request is done with its arrays. So they stay; programs have few different ones.
const int* keep(std::vector<int> array) {
  static auto& mutex = *new std::mutex;
  static auto& kept = *new std::set<std::vector<int>>;
  const std::lock_guard lock(mutex);
  return kept.insert(std::move(array)).first->data();
}

}  // namespace

Lengths per_rank(int root, Handle comm) {
  int inter = 0, rank = 0, ranks = 0;
  pmpi::comm_test_inter(comm, &inter);
  if (inter != 0)
    pmpi::comm_remote_size(comm, &ranks);
  else
    pmpi::comm_size(comm, &ranks);
  pmpi::comm_rank(comm, &rank);
  const bool here = root == kNoRoot || root == (inter != 0 ? abi().root : rank);
  const std::size_t length = here ? static_cast<std::size_t>(ranks) : 0;
  return {length, length};
}

Lengths per_neighbour(Handle comm) {
  int topology = 0, rank = 0, in = 0, out = 0, weighted = 0;
  pmpi::topo_test(comm, &topology);
  if (topology == abi().dist_graph) {
    pmpi::dist_graph_neighbors_count(comm, &out, &in, &weighted);  // who sends to this rank comes first
  } else if (topology == abi().graph) {
    pmpi::comm_rank(comm, &rank);
    pmpi::graph_neighbors_count(comm, rank, &in);
    out = in;
  } else if (topology == abi().cart) {
    pmpi::cartdim_get(comm, &in);
    out = in *= 2;
  }
  return {static_cast<std::size_t>(in), static_cast<std::size_t>(out)};
}

int Narrow::operator()(Count count) {
  if (ignored()) return 0;
  fits_ = fits_ && count >= INT_MIN && count <= INT_MAX;
  return static_cast<int>(count);
}

const int* Narrow::operator()(const Count* counts) {
  const std::size_t length = before_output_ ? lengths_.in : lengths_.out;
  if (ignored() || counts == nullptr || length == 0) return nullptr;
  std::vector<int> narrow(length);
  std::transform(counts, counts + length, narrow.begin(), [&](Count count) { return (*this)(count); });
  return pending_ ? keep(std::move(narrow)) : arrays_.emplace_back(std::move(narrow)).data();
}

}  // namespace tutti::mpi
