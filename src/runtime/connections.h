// The transports of a job: which rank is reached over which of them, and endpoints to it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "core/config.h"
#include "tutti/topology.h"
#include "tutti/transport.h"

namespace tutti {

// "shm,tcp" or "^shm": an error where the setting names none, or nothing that is known.
[[nodiscard]] Status check_transports(const Config& config);

class Connections {
 public:
  // Before anything else: opens those transports that the configuration allows and this machine has. `cpus`: where this rank
  // runs.
  Status open(const Session& session, const Config& config, const Topology& topology, std::span<const int> cpus);
  // Collective: tells all ranks where this one listens.
  Status exchange_addresses();
  // Whom this rank reaches: for each transport of the table, a bit per rank. TCP needs no such proof: the control overlay runs
  // over it. Whom memory reaches is asked for by no other transport.
  [[nodiscard]] std::vector<std::byte> probe();
  // What all ranks have found so, by rank.
  void choose(std::vector<std::vector<std::byte>> probed);
  // Whether two ranks reach each other through memory: then they are on one host, whatever it is called.
  [[nodiscard]] bool share_memory(std::size_t a, std::size_t b) const;

  // An endpoint to a rank over the best transport that both sides can use; fills in the request's peer_address.
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, ConnectRequest request);
  // Those that any two ranks of this job use: "shm+tcp"; "self" for one rank.
  [[nodiscard]] const std::string& in_use() const noexcept { return in_use_; }
  // Whether the only one in use has boards.
  [[nodiscard]] bool has_boards() const noexcept { return has_boards_; }

 private:
  struct Offer {
    std::string domain;  // empty: this rank does not have the transport
    std::vector<std::byte> address;
  };
  [[nodiscard]] std::size_t bit(std::size_t row, std::size_t rank) const { return row * static_cast<std::size_t>(size_) + rank; }
  [[nodiscard]] bool reach_each_other(std::size_t row, std::size_t a, std::size_t b) const;
  [[nodiscard]] int best_between(std::size_t a, std::size_t b) const;

  Rank rank_ = 0, size_ = 1;
  Overlay* overlay_ = nullptr;
  std::vector<std::unique_ptr<Transport>> transports_;  // best first
  std::vector<std::size_t> rows_;                       // of each, in the table
  std::vector<std::vector<Offer>> offers_;              // [rank][transport]
  std::vector<std::vector<std::byte>> probed_;          // by rank
  std::vector<int> reach_;                              // per rank: which transport, -1: none
  std::map<Rank, std::string> unreached_;               // why what comes before TCP does not reach a rank
  std::string in_use_ = "self";
  bool has_boards_ = false;
};

// Of a blob that a rank has sent at the start.
[[nodiscard]] Error bad_blob(Rank rank);

}  // namespace tutti
