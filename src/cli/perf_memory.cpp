#include "cli/perf_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <limits>
#include <string>

#include "core/config.h"
#include "core/hash.h"
#include "core/host.h"
#include "topology/sources/cgroup.h"

namespace tutti {
namespace {

// Memory that some ranks share: those that give the same number.
struct Pool {
  std::uint64_t id = 0;
  double available = std::numeric_limits<double>::infinity();
};

struct Claim {
  double need = 0;
  std::array<Pool, 3> pools;  // of the host; of the control group with the least left; of the device
};
constexpr std::array<std::string_view, 3> kPoolNames{"on this host", "in this control group", "on this device"};

double available_on_host() {
  std::ifstream in("/proc/meminfo");
  double kib = 0;
  for (std::string word; in >> word;)
    if (word == "MemAvailable:" && in >> kib) return kib * 1024;
  return std::numeric_limits<double>::infinity();
}

Result<Claim> claim(double need, const PerfDevice* device) {
  const std::string host = boot_id();
  const CgroupLimits limits = read_cgroup_limits();
  Claim mine{.need = need, .pools = {}};
  mine.pools[0] = {Hasher().text(host).result(), available_on_host()};
  if (limits.memory_bytes > 0)
    mine.pools[1] = {Hasher().text(host).value(limits.memory_group).result(), static_cast<double>(limits.memory_left_bytes)};
  if (device == nullptr) return mine;
  const auto left = device->memory_left();
  if (!left) return left.error().clone();
  mine.pools[2] = {device->id(), static_cast<double>(*left)};
  return mine;
}
std::string human(double bytes) {
  constexpr std::string_view kUnits = "KMGTPEZ";
  std::size_t unit = 0;
  for (bytes /= 1024; bytes >= 1000 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{:.1f}{}", bytes, kUnits[unit]);
}

}  // namespace

double memory_needed(const PerfPlan& plan, Rank me, Rank ranks) {
  double need = 0;
  for (const Collective collective : plan.collectives) {
    const PerfCase c = plan.at(collective, plan.sizes.back(), me, ranks);
    const double elements = static_cast<double>(c.input_count()) + static_cast<double>(c.output_count());
    need = std::max(need, elements * static_cast<double>(size_of(c.type)));
  }
  return need;
}

Status check_memory(Communicator& comm, const PerfPlan& plan, const PerfDevice* device) {
  const auto claimed = claim(memory_needed(plan, comm.rank(), comm.size()), device);
  if (!claimed) return claimed.error().clone();
  const Claim mine = *claimed;
  std::vector<Claim> all(static_cast<std::size_t>(comm.size()));
  if (auto s = comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))); !s) return s;
  for (std::size_t p = 0; p < mine.pools.size(); ++p) {
    double together = 0;
    int ranks = 0;
    for (const Claim& other : all) {
      if (other.pools[p].id != mine.pools[p].id) continue;
      together += other.need;
      ++ranks;
    }
    const double available = mine.pools[p].available, size = static_cast<double>(plan.sizes.back());
    if (together <= available) continue;
    const auto fits = std::bit_floor(static_cast<std::uint64_t>(size * available / together));
    return Error(Code::invalid_argument,
                 fmt::format("--max-bytes: at {} bytes input and output of the {} rank{} {} take {}, but only {} are available; "
                             "use --max-bytes {} or less, or fewer ranks",
                             format_bytes(plan.sizes.back()), ranks, ranks == 1 ? "" : "s", kPoolNames[p], human(together),
                             human(available), format_bytes(fits)));
  }
  return {};
}

}  // namespace tutti
