// The transports of a job: which rank is reached over which of them, and endpoints to it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "core/config.h"
#include "tutti/transport.h"

namespace tutti {

// "shm,tcp" or "^shm": an error where the setting names none, or nothing that is known.
[[nodiscard]] Status check_transports(const Config& config);

class Connections {
 public:
  // Before anything else: opens those transports that the configuration allows and this machine has.
  Status open(const Session& session, const Config& config, std::size_t l2_bytes);
  // Collective: tells all ranks where this one listens.
  Status exchange_addresses();
  // One bit per rank that this one reaches through memory. The network needs no such proof: the control overlay runs over it.
  [[nodiscard]] std::vector<std::byte> probe_memory();
  // reached[a][b]: what rank a has found about b.
  void choose(const std::vector<std::vector<bool>>& reached);

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
  [[nodiscard]] int best_between(std::size_t a, std::size_t b, const std::vector<std::vector<bool>>& reached) const;

  Rank rank_ = 0, size_ = 1;
  Overlay* overlay_ = nullptr;
  std::vector<std::unique_ptr<Transport>> transports_;  // best first
  std::vector<std::vector<Offer>> offers_;              // [rank][transport]
  std::vector<int> reach_;                              // per rank: which transport, -1: none
  std::map<Rank, std::string> unreached_;               // why memory does not reach a rank
  std::string in_use_ = "self";
  bool has_boards_ = false;
};

// Of a blob that a rank has sent at the start.
[[nodiscard]] Error bad_blob(Rank rank);

}  // namespace tutti
