// Who started this process, which rank it is, and how the ranks can find each other. Only reads variables.
//
//   order  launcher            known by                       the ranks meet through
//   1      plain variables     TUTTI_RANK, TUTTI_SIZE         TUTTI_RENDEZVOUS
//   2      torchrun            RANK with WORLD_SIZE or        MASTER_ADDR, port MASTER_PORT + 1 (MASTER_PORT itself is taken
//                              MASTER_ADDR                    by torch's own store)
//   3      Open MPI's mpirun   OMPI_COMM_WORLD_RANK           PMIx
//   4      Hydra (MPICH,       PMI_RANK, PMI_FD or PMI_PORT   PMI-1
//          Intel MPI), and
//          srun --mpi=pmi2
//   5      Slurm's srun        SLURM_STEP_ID                  PMIx where srun offers it, else the first host of the step and a
//                                                             port made of job and step id
//   6      another PMIx host   PMIX_NAMESPACE                 PMIx
//   7      nobody                                             nobody: one rank, alone
//
// TUTTI_RENDEZVOUS, when set, replaces the meeting place of whichever launcher it is.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "bootstrap/sockets.h"
#include "core/config.h"

namespace tutti {

enum class LauncherKind : std::uint8_t { none, variables, torchrun, open_mpi, hydra, slurm, pmix };
[[nodiscard]] std::string_view name(LauncherKind kind) noexcept;

enum class Meeting : std::uint8_t { alone, rendezvous, pmix, pmi };

inline constexpr Rank kMaxRanks = 1 << 20;

// How to reach the launcher's PMI server: an inherited descriptor, or an address and this process's number there.
struct PmiContact {
  int fd = -1;
  HostPort at;
  int id = 0;
};

struct Launch {
  LauncherKind kind = LauncherKind::none;
  Meeting meeting = Meeting::alone;
  Rank rank = 0;
  Rank size = 1;  // 0: rank and size are told by the key-value store
  std::optional<Rank> local_rank;
  std::optional<Rank> local_size;
  HostPort rendezvous;
  std::string rendezvous_text;  // "TUTTI_RENDEZVOUS=host:port", for errors
  PmiContact pmi;
  std::string job;  // what tells this job from others of the same user
};

using Lookup = std::function<std::optional<std::string>(const char*)>;

// Code::environment names the variable that is missing or malformed, its value, and what is expected.
[[nodiscard]] Result<Launch> detect_launcher(const Config& config, const Lookup& lookup = environment);

}  // namespace tutti
