// The ground a communicator stands on: the control overlay, the transports, and what the ranks told each other about their
// machines.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "core/config.h"
#include "custom/custom.h"
#include "exec/cpu/wait.h"
#include "select/select.h"
#include "select/tuning_file.h"
#include "tutti/transport.h"

namespace tutti {

class Job {
 public:
  // Discovers the machine, opens the transports, exchanges both with the other ranks, finds out who reaches whom how, and
  // measures. A part of a `parent` takes the machine and the measurements from there. A job of one rank opens nothing.
  static Result<std::unique_ptr<Job>> start(Session session, const Config& config, const Job* parent = nullptr);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  [[nodiscard]] Rank rank() const noexcept { return session_.rank; }
  [[nodiscard]] Rank size() const noexcept { return session_.size; }
  [[nodiscard]] const Config& config() const noexcept { return config_; }

  // An endpoint to a rank over the best transport that both sides can use; fills in the request's peer_address.
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, ConnectRequest request);
  [[nodiscard]] LinkTuning tuning(Rank peer) const;
  // Those that any two ranks of this job use: "shm+tcp"; "self" for one rank.
  [[nodiscard]] const std::string& transports_in_use() const noexcept { return transports_in_use_; }

  // As the selector sees it; equal on all ranks.
  [[nodiscard]] JobMachine machine() const;
  [[nodiscard]] const AlgorithmTable& algorithms() const noexcept { return algorithms_; }
  // Where measurements of whole calls belong: equal in jobs whose ranks sit alike on machines that are alike.
  [[nodiscard]] TunedLayout layout() const;
  // Whether all ranks of this job publish to each other.
  [[nodiscard]] bool has_boards() const { return worth_boards(size()) && transport_has_boards_; }
  [[nodiscard]] WaitPolicy wait_policy() const;
  // This rank's part of the last cache, in bytes; 0: not known.
  [[nodiscard]] std::uint64_t cache_share() const { return tutti::cache_share(topology_, machine().ranks_per_host); }
  [[nodiscard]] Session& session() noexcept { return session_; }

 private:
  Job(Session session, Config config) : session_(std::move(session)), config_(std::move(config)) {}
  Status load_algorithms(const Job* parent);
  Status make_table();
  Status open_transports();
  Status exchange_addresses();
  Status look_at_machine(const Job* parent);
  Status exchange_machines();
  // Whether this start measures, which all ranks do or none.
  [[nodiscard]] bool measures() const { return !inherited_ && config_.flag(Var::calibrate); }
  Status calibrate();
  Status agree();
  Result<std::string> read_tuning() const;
  void take_measurements();
  [[nodiscard]] std::vector<std::byte> probe_memory();
  void choose_transports(const std::vector<std::vector<bool>>& reached);
  Status place(std::vector<RankLocation> locations, std::span<const std::uint64_t> fingerprints);
  [[nodiscard]] std::size_t transport_index(Rank peer) const {
    return static_cast<std::size_t>(reach_[static_cast<std::size_t>(peer)]);
  }

  Session session_;
  Config config_;
  Topology topology_;
  std::vector<int> binding_;
  bool is_part_ = false;                                // of another job
  bool inherited_ = false;                              // what that job knows of the machine was taken from there
  bool measured_ = false;                               // links_ and the like
  std::vector<std::unique_ptr<Transport>> transports_;  // best first
  struct Offer {
    std::string domain;  // empty: this rank does not have the transport
    std::vector<std::byte> address;
  };
  std::vector<std::vector<Offer>> offers_;  // [rank][transport]
  std::vector<int> reach_;                  // per rank: which transport, -1: none
  std::map<Rank, std::string> unreached_;   // why memory does not reach a rank
  std::string transports_in_use_ = "self";
  bool transport_has_boards_ = false;  // the only one in use
  Placement placement_;
  std::array<LinkParameters, kLevels> links_{};
  std::array<LinkTuning, kLevels> tuning_{};
  double reduce_gbps_ = 10, copy_gbps_ = 20;
  TuningFile tunings_;  // of this machine; parts of this job take theirs from it
  Measurements measured_calls_;
  CustomAlgorithms custom_;
  AlgorithmTable algorithms_;
  int core_sharers_ = 1;  // of the whole job, where this is a part of one
};

}  // namespace tutti
