// Jobs made of what ranks would tell about themselves.
#pragma once

#include "doctor/job.h"
#include "trees.h"

namespace tutti::doctor::test {

inline auto shared(Severity severity, const std::string& part_of_found) {
  return testing::Field(&Shared::finding, is(severity, part_of_found));
}

// So many cores of one PU each, ranks on one host.
inline Job job_of(const std::vector<std::vector<int>>& bindings, int cores) {
  Job job;
  for (const auto& cpus : bindings) {
    Facts facts{.host = "h1",
                .kernel = "k1",
                .network = "net:[1]",
                .cpus = cpus,
                .cores = {},
                .interface = "eth0",
                .address = "10.0.0.1",
                .transports = {},
                .ports = {},
                .no_ports = {},
                .settings = {},
                .token = {},
                .others = {}};
    for (int core = 0; core < cores; ++core) facts.cores.push_back({core});
    job.ranks.push_back(facts);
  }
  return job;
}

inline Job two_hosts() {
  Job job = job_of({{0}, {1}, {0}, {1}}, 2);
  for (const std::size_t r : {2u, 3u}) {
    job.ranks[r].host = "h2";
    job.ranks[r].kernel = "k2";
    job.ranks[r].address = "10.0.0.2";
  }
  return job;
}

}  // namespace tutti::doctor::test
