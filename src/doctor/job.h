// Several ranks compared: what each tells the others about itself, and what is wrong with all of it together.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "doctor/finding.h"
#include "doctor/system.h"
#include "transports/verbs/pairing.h"

namespace tutti::doctor {

// An RDMA port that a rank would use.
struct PortFacts {
  std::string name;            // "port 1 of mlx5_0"
  verbs::PortSummary summary;  // its GID is that of the network
  int mtu = 0;                 // bytes

  friend bool operator==(const PortFacts&, const PortFacts&) = default;
};

struct Facts {
  std::string host;                     // its name
  std::string kernel;                   // equal where ranks compete for the same cores
  std::string network;                  // namespace of that kernel
  std::vector<int> cpus;                // it may run on
  std::vector<std::vector<int>> cores;  // PUs of each core that may be used
  std::string interface;                // that tutti takes, and its address; empty: none
  std::string address;
  double megabits = 0;  // 0: not known
  int mtu = 0;
  std::vector<std::string> transports;          // that may be used, best first
  std::vector<PortFacts> ports;                 // of verbs
  std::string no_ports;                         // why there are none
  std::map<std::string, std::string> settings;  // that should be alike everywhere
  // For probing: where this rank listens, what it answers with, and the addresses that its host has ("eth0 10.0.0.1").
  int port = 0;
  std::string token;
  std::vector<std::pair<std::string, std::string>> others;

  friend bool operator==(const Facts&, const Facts&) = default;
};
[[nodiscard]] Facts facts_of(const System& system);
// As verbs would tell its peers of them.
[[nodiscard]] std::vector<verbs::PortSummary> summaries(const Facts& facts);
// Hosts of one name that differ in kernel or network are numbered, "localhost (1)": by then names tell hosts apart.
void tell_hosts_apart(std::vector<Facts>& ranks);

// One try to reach another rank's host.
struct Reach {
  int from = 0, to = 0;  // ranks
  std::string interface, address;
  std::string failure;  // empty: it was reached

  friend bool operator==(const Reach&, const Reach&) = default;
};

// What a rank sends to the others.
[[nodiscard]] std::string to_json(const Facts& facts);
[[nodiscard]] Result<Facts> facts_from_json(std::string_view text);
struct Visit {
  Findings findings;
  std::vector<Reach> reaches;
};
[[nodiscard]] std::string to_json(const Visit& visit);
[[nodiscard]] Result<Visit> visit_from_json(std::string_view text);

// All ranks' facts, by rank.
struct Job {
  std::vector<Facts> ranks;
  std::vector<Reach> reaches;

  [[nodiscard]] std::map<std::string, std::vector<int>> hosts() const;  // ranks by name of host
};

struct JobCheck {
  std::string_view name;
  std::vector<Shared> (*run)(const Job&);
};
[[nodiscard]] std::span<const JobCheck> job_checks();
[[nodiscard]] std::vector<Shared> examine(const Job& job);

// --- job.cpp ---
[[nodiscard]] std::vector<Shared> check_bindings(const Job& job);
[[nodiscard]] std::vector<Shared> check_networks(const Job& job);
[[nodiscard]] std::vector<Shared> check_reach(const Job& job);
[[nodiscard]] std::vector<Shared> check_alike(const Job& job);
// --- ports.cpp ---
[[nodiscard]] std::vector<Shared> check_ports(const Job& job);
// --- transports.cpp ---
[[nodiscard]] std::vector<Shared> check_transports_between(const Job& job);

// "25 Gbit/s on h1, h2; 10 Gbit/s on h3"
[[nodiscard]] std::string who_has(const std::map<std::string, std::set<std::string>>& hosts_of);

}  // namespace tutti::doctor
