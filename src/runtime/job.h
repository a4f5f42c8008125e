// The ground a communicator stands on: the control overlay, the transports, and what the ranks told each other about their
// machines.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "core/config.h"
#include "custom/custom.h"
#include "exec/cpu/wait.h"
#include "runtime/connections.h"
#include "runtime/ground.h"

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
  [[nodiscard]] Session& session() noexcept { return session_; }

  Result<std::unique_ptr<Endpoint>> connect(Rank peer, ConnectRequest request) {
    return connections_.connect(peer, std::move(request));
  }
  [[nodiscard]] const std::string& transports_in_use() const noexcept { return connections_.in_use(); }
  [[nodiscard]] bool uses(std::string_view transport) const { return connections_.uses(transport); }
  [[nodiscard]] LinkTuning tuning(Rank peer) const;
  // Of each of machine().links, for people.
  [[nodiscard]] std::vector<std::vector<LinkCarrier>> carriers() const { return connections_.carriers(machine_.levels); }

  [[nodiscard]] const Topology& topology() const noexcept { return ground_.topology; }  // of this rank's host
  // Equal on all ranks, as the machine.
  [[nodiscard]] const Placement& placement() const noexcept { return placement_; }
  // As the selector sees it; equal on all ranks.
  [[nodiscard]] const JobMachine& machine() const noexcept { return machine_; }
  // As it is known without measuring at the start, and so in every job of this layout.
  [[nodiscard]] const JobMachine& settled() const noexcept { return settled_; }
  // Where measurements of whole calls belong: equal in jobs whose ranks sit alike on machines that are alike.
  [[nodiscard]] TunedLayout layout() const;
  // Where measurements of transports between hosts belong, which are the same over whatever transports.
  [[nodiscard]] TunedHosts hosts_layout() const;
  [[nodiscard]] WaitPolicy wait_policy() const;
  // This rank's part of the last cache, in bytes; 0: not known.
  [[nodiscard]] std::uint64_t cache_share() const { return tutti::cache_share(ground_.topology, machine_.ranks_per_host); }

 private:
  Job(Session session, Config config) : session_(std::move(session)), config_(std::move(config)) {}
  Status begin(const Job* parent);
  Status load_algorithms(const Job* parent);
  Status look_at_machine(const Job* parent);
  Status exchange_machines(const Job* parent);
  Status place(const Job* parent, std::vector<RankLocation> locations, std::span<const std::uint64_t> fingerprints);
  // Of rank 0, where nobody has named transports: what was measured between these hosts, as a tuning file; empty: nothing.
  [[nodiscard]] std::string fastest_between_hosts() const;
  Status prefer_fastest(const Job* parent, const TuningFile& told);
  Status make_table();
  // Whether this start measures, which all ranks do or none.
  [[nodiscard]] bool measures() const { return !inherited_ && config_.flag(Var::calibrate); }
  Status calibrate();
  Status agree(const Job* parent);

  Session session_;
  Config config_;
  CustomAlgorithms custom_;
  Ground ground_;
  bool inherited_ = false;                  // the ground, from the job that this is a part of
  std::uint64_t machines_ = 0, hosts_ = 0;  // hashes: of what the ranks are on, and of who shares a host
  Connections connections_;
  Placement placement_;
  JobMachine machine_, settled_;
};

}  // namespace tutti
