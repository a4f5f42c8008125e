#include "bootstrap/launcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "bootstrap/node_list.h"
#include "core/hash.h"
#include "core/log.h"

namespace tutti {
namespace {

using Found = Result<std::optional<Launch>>;

// Reads variables; an empty one counts as unset, as launchers and scripts use it.
class Variables {
 public:
  explicit Variables(const Lookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> text(const char* name) const {
    auto value = lookup_(name);
    return value && !value->empty() ? value : std::nullopt;
  }
  bool has(const char* name) const { return text(name).has_value(); }
  std::string text_or(const char* name, std::string_view otherwise) const { return text(name).value_or(std::string(otherwise)); }

  Result<long long> number(const char* name, long long low, long long high, std::string_view because) const {
    const auto value = text(name);
    if (!value)
      return Error(Code::environment,
                   fmt::format("{} is not set, but {}: expected a number from {} to {}", name, because, low, high));
    long long parsed = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), parsed);
    if (error != std::errc{} || end != value->data() + value->size() || parsed < low || parsed > high)
      return Error(Code::environment, fmt::format("{}=\"{}\" is not a number from {} to {}", name, *value, low, high));
    return parsed;
  }

  // Rank and size together: the size first, because it bounds the rank.
  Status place(const char* rank_name, const char* size_name, std::string_view because, Launch& launch) const {
    auto size = number(size_name, 1, kMaxRanks, because);
    if (!size) return std::move(size.error());
    launch.size = static_cast<Rank>(*size);
    auto rank = number(rank_name, 0, launch.size - 1, because);
    if (!rank) return rank.because(fmt::format("{}={} ranks", size_name, launch.size));
    launch.rank = static_cast<Rank>(*rank);
    return {};
  }

  // Only a help for placing things: absent is fine, nonsense is not.
  Status local_place(const char* rank_name, const char* size_name, Launch& launch) const {
    const auto read = [&](const char* name, Rank low, Rank high, std::optional<Rank>& out) -> Status {
      if (!has(name)) return {};
      auto value = number(name, low, high, "it was");
      if (!value) return std::move(value.error());
      out = static_cast<Rank>(*value);
      return {};
    };
    if (auto s = read(rank_name, 0, kMaxRanks - 1, launch.local_rank); !s) return s;
    return read(size_name, 1, kMaxRanks, launch.local_size);
  }

 private:
  const Lookup& lookup_;
};

Found plain_variables(const Config& config, const Variables& /*vars*/) {
  if (!config.is_set(Var::rank) && !config.is_set(Var::size)) return std::optional<Launch>();
  Launch launch;
  launch.kind = LauncherKind::variables;
  // The configuration has them too, from wherever they were set.
  const Lookup from_config = [&](const char* name) -> std::optional<std::string> {
    const Var var = std::string_view(name) == "TUTTI_RANK" ? Var::rank : Var::size;
    return config.is_set(var) ? std::optional(config.text(var)) : std::nullopt;
  };
  const auto* set = config.is_set(Var::rank) ? "TUTTI_RANK is" : "TUTTI_SIZE is";
  if (auto s = Variables(from_config).place("TUTTI_RANK", "TUTTI_SIZE", set, launch); !s) return std::move(s.error());
  if (launch.size > 1 && !config.is_set(Var::rendezvous))
    return Error(Code::environment,
                 fmt::format("TUTTI_RENDEZVOUS is not set, but TUTTI_SIZE={}: expected host:port, where rank 0 can "
                             "listen and every rank can connect",
                             launch.size));
  launch.job = "variables";
  launch.meeting = Meeting::rendezvous;
  return std::optional(std::move(launch));
}

Found torchrun(const Config& config, const Variables& vars) {
  if (!vars.has("RANK") || (!vars.has("WORLD_SIZE") && !vars.has("MASTER_ADDR"))) return std::optional<Launch>();
  Launch launch;
  launch.kind = LauncherKind::torchrun;
  if (auto s = vars.place("RANK", "WORLD_SIZE", "RANK is (torchrun's variables)", launch); !s) return std::move(s.error());
  if (auto s = vars.local_place("LOCAL_RANK", "LOCAL_WORLD_SIZE", launch); !s) return std::move(s.error());
  launch.job =
      fmt::format("torchrun {} {}", vars.text_or("TORCHELASTIC_RUN_ID", ""), vars.text_or("TORCHELASTIC_RESTART_COUNT", "0"));
  launch.meeting = Meeting::rendezvous;
  if (launch.size == 1 || config.is_set(Var::rendezvous)) return std::optional(std::move(launch));
  const auto host = vars.text("MASTER_ADDR");
  if (!host)
    return Error(Code::environment, fmt::format("MASTER_ADDR is not set, but RANK and WORLD_SIZE={} are: expected rank 0's host "
                                                "(or set TUTTI_RENDEZVOUS=host:port)",
                                                launch.size));
  auto port = vars.number("MASTER_PORT", 1, 65534, "MASTER_ADDR is; tutti meets at the port after it");
  if (!port) return std::move(port.error());
  launch.rendezvous = {*host, static_cast<std::uint16_t>(*port + 1)};
  launch.rendezvous_text = fmt::format("MASTER_ADDR={} and MASTER_PORT={} + 1", *host, *port);
  return std::optional(std::move(launch));
}

Found open_mpi(const Config& config, const Variables& vars) {
  if (!vars.has("OMPI_COMM_WORLD_RANK") && !vars.has("OMPI_COMM_WORLD_SIZE")) return std::optional<Launch>();
  Launch launch;
  launch.kind = LauncherKind::open_mpi;
  if (auto s = vars.place("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "other variables of Open MPI's mpirun are", launch); !s)
    return std::move(s.error());
  if (auto s = vars.local_place("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", launch); !s)
    return std::move(s.error());
  const auto job = vars.text("PMIX_NAMESPACE");
  if (launch.size > 1 && !job && !config.is_set(Var::rendezvous))
    return Error(Code::environment,
                 fmt::format("PMIX_NAMESPACE is not set, but OMPI_COMM_WORLD_SIZE={}: expected Open MPI's mpirun 3 or "
                             "later (or set TUTTI_RENDEZVOUS=host:port)",
                             launch.size));
  launch.job = job.value_or("open mpi");
  launch.meeting = Meeting::pmix;
  return std::optional(std::move(launch));
}

Status pmi_contact(const Variables& vars, PmiContact& contact) {
  if (vars.has("PMI_FD")) {
    auto fd = vars.number("PMI_FD", 0, 1 << 20, "it was");
    if (!fd) return std::move(fd.error());
    contact.fd = static_cast<int>(*fd);
    return {};
  }
  const auto port = vars.text("PMI_PORT");
  if (!port)
    return Error(Code::environment,
                 "PMI_RANK is set, but neither PMI_FD nor PMI_PORT is: expected how to reach the launcher's PMI server (or "
                 "set TUTTI_RENDEZVOUS=host:port)");
  auto at = parse_host_port(*port);
  if (!at) return Error(Code::environment, fmt::format("PMI_PORT={}: {}", *port, at.error().message()));
  contact.at = std::move(*at);
  auto id = vars.number("PMI_ID", 0, kMaxRanks, "PMI_PORT is");
  if (!id) return std::move(id.error());
  contact.id = static_cast<int>(*id);
  return {};
}

// Slurm does not say how many ranks are on this host, except when all are.
Status slurm_local_place(const Variables& vars, Launch& launch) {
  if (auto s = vars.local_place("SLURM_LOCALID", "", launch); !s) return s;
  if (vars.text("SLURM_STEP_NUM_NODES") == "1") launch.local_size = launch.size;
  return {};
}

// srun --mpi=pmi2 sets Hydra's variables. Ranks that Hydra starts inside a step of Slurm have another job id.
bool set_by_srun(const Variables& vars) {
  const auto step = vars.text("SLURM_STEP_ID");
  return step && vars.text("PMI_JOBID") == fmt::format("{}.{}", vars.text_or("SLURM_JOB_ID", ""), *step);
}

Found pmi(const Config& config, const Variables& vars) {
  constexpr std::array kKnownBy{"PMI_RANK", "PMI_FD", "PMI_PORT"};
  const auto* const known_by = std::ranges::find_if(kKnownBy, [&](const char* name) { return vars.has(name); });
  if (known_by == kKnownBy.end()) return std::optional<Launch>();
  Launch launch;
  launch.kind = set_by_srun(vars) ? LauncherKind::slurm : LauncherKind::hydra;
  launch.meeting = Meeting::pmi;
  launch.size = 0;
  launch.rank = kNoRank;
  // With PMI_PORT the proxy tells the rank over the wire.
  const bool told_later = vars.has("PMI_PORT") && !vars.has("PMI_RANK") && !config.is_set(Var::rendezvous);
  if (!told_later) {
    const auto because = fmt::format("{} is (a variable of Hydra and Slurm)", *known_by);
    if (auto s = vars.place("PMI_RANK", "PMI_SIZE", because, launch); !s) return std::move(s.error());
  }
  auto local = launch.kind == LauncherKind::slurm ? slurm_local_place(vars, launch)
                                                  : vars.local_place("MPI_LOCALRANKID", "MPI_LOCALNRANKS", launch);
  if (!local) return std::move(local.error());
  launch.job = vars.text_or("PMI_JOBID", "hydra");
  if (launch.size == 1 || config.is_set(Var::rendezvous)) return std::optional(std::move(launch));
  if (auto s = pmi_contact(vars, launch.pmi); !s) return std::move(s.error());
  return std::optional(std::move(launch));
}

Status slurm_rendezvous(const Variables& vars, std::string_view step, Launch& launch) {
  constexpr std::uint64_t kFirstPort = 10000;
  constexpr std::uint64_t kPorts = 20000;  // below the range the system gives to outgoing connections
  launch.rendezvous.port = static_cast<std::uint16_t>(kFirstPort + Hasher().text(launch.job).result() % kPorts);
  if (launch.local_size == launch.size) {  // needs no name, and leaves nothing open to other hosts
    launch.rendezvous.host = "127.0.0.1";
    launch.rendezvous_text = "SLURM_STEP_NUM_NODES=1, a port made of the job's number";
    return {};
  }
  if (const auto nodes = vars.text("SLURM_STEP_NODELIST")) {
    auto hosts = expand_node_list(*nodes);
    if (!hosts) return hosts.because("SLURM_STEP_NODELIST");
    launch.rendezvous.host = hosts->front();
    launch.rendezvous_text = fmt::format("the first host of SLURM_STEP_NODELIST={}, a port made of the job's number", *nodes);
    return {};
  }
  const auto address = vars.text("SLURM_LAUNCH_NODE_IPADDR");
  if (!address)
    return Error(Code::environment,
                 fmt::format("SLURM_STEP_NODELIST and SLURM_LAUNCH_NODE_IPADDR are not set, but SLURM_STEP_ID={}: "
                             "expected the hosts of the step (or set TUTTI_RENDEZVOUS=host:port)",
                             step));
  launch.rendezvous.host = *address;
  launch.rendezvous_text = fmt::format("SLURM_LAUNCH_NODE_IPADDR={}, a port made of the job's number", *address);
  return {};
}

Found slurm(const Config& config, const Variables& vars) {
  if (!vars.has("SLURM_PROCID")) return std::optional<Launch>();
  const auto step = vars.text("SLURM_STEP_ID");
  if (!step) {
    log(LogLevel::info, "SLURM_PROCID is set, but SLURM_STEP_ID is not: inside an allocation, not started by srun");
    return std::optional<Launch>();
  }
  Launch launch;
  launch.kind = LauncherKind::slurm;
  const char* size_name = vars.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  if (auto s = vars.place("SLURM_PROCID", size_name, "SLURM_STEP_ID is (started by srun)", launch); !s)
    return std::move(s.error());
  if (auto s = slurm_local_place(vars, launch); !s) return std::move(s.error());
  launch.job = fmt::format("slurm {}.{}", vars.text_or("SLURM_JOB_ID", "0"), *step);
  launch.meeting = vars.has("PMIX_NAMESPACE") ? Meeting::pmix : Meeting::rendezvous;
  if (launch.meeting == Meeting::pmix || launch.size == 1 || config.is_set(Var::rendezvous))
    return std::optional(std::move(launch));
  if (auto s = slurm_rendezvous(vars, *step, launch); !s) return std::move(s.error());
  return std::optional(std::move(launch));
}

Found bare_pmix(const Config& config, const Variables& vars) {
  const auto job = vars.text("PMIX_NAMESPACE");
  if (!job || config.is_set(Var::rendezvous)) return std::optional<Launch>();
  Launch launch;
  launch.kind = LauncherKind::pmix;
  launch.meeting = Meeting::pmix;
  launch.rank = kNoRank;
  launch.size = 0;
  launch.job = *job;
  return std::optional(std::move(launch));
}

// Nobody to be found: one rank, unless something says that more were meant.
Result<Launch> alone(const Config& config, const Variables& vars) {
  if (config.is_set(Var::rendezvous))
    return Error(Code::environment,
                 fmt::format("TUTTI_RENDEZVOUS=\"{}\" is set, but TUTTI_RANK and TUTTI_SIZE are not, and no launcher "
                             "says which rank this is: set both",
                             config.text(Var::rendezvous)));
  if (vars.has("WORLD_SIZE") && vars.has("MASTER_ADDR"))
    return Error(Code::environment,
                 fmt::format("RANK is not set, but WORLD_SIZE=\"{}\" and MASTER_ADDR=\"{}\" are: expected this "
                             "process's rank",
                             *vars.text("WORLD_SIZE"), *vars.text("MASTER_ADDR")));
  log(LogLevel::info, "no launcher found (no TUTTI_RANK, RANK, OMPI_COMM_WORLD_RANK, PMI_RANK, SLURM_STEP_ID): one rank, alone");
  return Launch{};
}

}  // namespace

std::string_view name(LauncherKind kind) noexcept {
  switch (kind) {
    case LauncherKind::none:
      return "no launcher";
    case LauncherKind::variables:
      return "TUTTI_RANK and TUTTI_SIZE";
    case LauncherKind::torchrun:
      return "torchrun";
    case LauncherKind::open_mpi:
      return "Open MPI's mpirun";
    case LauncherKind::hydra:
      return "Hydra";
    case LauncherKind::slurm:
      return "Slurm's srun";
    case LauncherKind::pmix:
      return "a PMIx launcher";
  }
  return "?";
}

Result<Launch> detect_launcher(const Config& config, const Lookup& lookup) {
  const Variables vars(lookup);
  for (auto* detect : {plain_variables, torchrun, open_mpi, pmi, slurm, bare_pmix}) {
    Found found = detect(config, vars);
    if (!found) return std::move(found.error());
    if (!*found) continue;
    Launch launch = std::move(**found);
    if (launch.size == 1) {
      launch.meeting = Meeting::alone;
    } else if (config.is_set(Var::rendezvous)) {
      auto at = parse_host_port(config.text(Var::rendezvous));
      if (!at) return Error(Code::environment, "TUTTI_RENDEZVOUS: " + at.error().message());
      launch.rendezvous = std::move(*at);
      launch.rendezvous_text = "TUTTI_RENDEZVOUS=" + config.text(Var::rendezvous);
      launch.meeting = Meeting::rendezvous;
    }
    return launch;
  }
  return alone(config, vars);
}

}  // namespace tutti
