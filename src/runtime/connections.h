// The transports of a job: which rank is reached over which of them, and endpoints to it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "core/config.h"
#include "select/select.h"
#include "select/tuning_file.h"
#include "tutti/topology.h"
#include "tutti/transport.h"

namespace tutti {

// TUTTI_TRANSPORT and TUTTI_IB_DEVICES: an error where they are malformed, or name no transport or one that is not known.
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
  // Collective, after choose(): what was measured to be fastest is taken first between ranks that share no memory and have no
  // setting of their own, where both have it, and opened where it has only not been named. What `other`, of which these ranks are
  // a part, does so: the same.
  Status prefer(const TunedHosts& measured);
  Status prefer_as(const Connections& other);
  // Whether two ranks reach each other through memory: then they are on one host, whatever it is called.
  [[nodiscard]] bool share_memory(std::size_t a, std::size_t b) const;

  // An endpoint to a rank over the best transport that both sides can use; fills in the request's peer_address.
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, ConnectRequest request);
  // What carries messages between ranks that share a group of each level but none further in, and in the last place between the
  // outermost groups: most pairs first, with the reason that holds for the first of them.
  [[nodiscard]] std::vector<std::vector<LinkCarrier>> carriers(std::span<const Grouping> levels) const;
  // Those that any two ranks of this job use: "shm+tcp"; "self" for one rank.
  [[nodiscard]] const std::string& in_use() const noexcept { return in_use_; }
  // Whether any two ranks use this one.
  [[nodiscard]] bool uses(std::string_view transport) const;
  // Whether the only one in use has boards.
  [[nodiscard]] bool has_boards() const noexcept { return has_boards_; }

 private:
  // Of one rank and transport.
  struct Offer {
    std::string domain;  // empty: this rank does not have the transport
    std::vector<std::byte> address;
    std::string about;  // what of the machine it uses, or why this rank does not have it; empty: it was not to try
  };
  void open_row(std::size_t row);
  void refuse(std::size_t row, const Error& why);
  // `needed`: one that cannot listen is an error.
  Status exchange_addresses(std::span<const std::size_t> rows, bool needed);
  std::vector<std::byte> probe(std::span<const std::size_t> rows);
  [[nodiscard]] bool all_share_memory() const;
  [[nodiscard]] bool prefers_measured(std::size_t a, std::size_t b) const;
  [[nodiscard]] bool usable(std::size_t row, std::size_t a, std::size_t b) const;
  [[nodiscard]] std::size_t bit(std::size_t row, std::size_t rank) const { return row * static_cast<std::size_t>(size_) + rank; }
  [[nodiscard]] bool reach_each_other(std::size_t row, std::size_t a, std::size_t b) const;
  [[nodiscard]] int best_between(std::size_t a, std::size_t b) const;
  [[nodiscard]] std::string why_not(std::size_t row, std::size_t a, std::size_t b) const;
  [[nodiscard]] LinkCarrier carrier(int row, std::size_t a, std::size_t b) const;

  // Transports are numbered as in the table, the best first.
  Rank rank_ = 0, size_ = 1;
  Overlay* overlay_ = nullptr;
  TransportOptions options_;
  std::optional<TunedHosts> preferred_;                 // between hosts, where nobody has named transports, and which
  std::optional<std::size_t> preferred_row_;            // of the table that is
  std::string setting_;                                 // the transports that this rank was given, as its user wrote them
  std::vector<std::unique_ptr<Transport>> transports_;  // nullptr: this rank does not have it
  std::vector<std::string> refusals_;                   // why not; empty: it was not to try
  std::vector<std::vector<Offer>> offers_;              // [rank][transport]
  std::vector<bool> has_setting_;                       // by rank: its user has said which transports
  std::vector<std::vector<std::byte>> probed_;          // by rank
  std::vector<int> reach_;                              // per rank: which transport, -1: none
  std::map<std::pair<Rank, std::size_t>, std::string> unreached_;  // why a transport does not reach a rank
  std::set<int> used_;                                             // by any two ranks
  std::string in_use_ = "self";
  bool has_boards_ = false;
};

// Of a blob that a rank has sent at the start.
[[nodiscard]] Error bad_blob(Rank rank);

}  // namespace tutti
