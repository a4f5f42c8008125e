#include "nccl/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/config.h"

namespace tutti::nccl {
namespace {

constexpr int kUnset = NCCL_CONFIG_UNDEF_INT;

// As of 2.32.
struct Newest {
  ncclConfig_t common = NCCL_CONFIG_INITIALIZER;
  int launch_order_implicit = kUnset, rma_signals = kUnset, rma_eager_init = kUnset, host_cft_mode = kUnset,
      nvls_host_mode = kUnset;
};
static_assert(sizeof(ncclConfig_t) == 96 && sizeof(Newest) == 120 && offsetof(Newest, nvls_host_mode) == 112);

constexpr std::size_t kHeaderBytes = offsetof(ncclConfig_t, blocking);

struct Field {
  std::string_view name;
  std::size_t offset;
  unsigned since;  // a program compiled with an older header has something else there, or nothing
  long long least, most;
};
constexpr long long kAny = INT_MAX;
constexpr auto kFields = std::to_array<Field>({
    {"blocking", offsetof(ncclConfig_t, blocking), 21400, 0, 1},
    {"cgaClusterSize", offsetof(ncclConfig_t, cgaClusterSize), 21700, 0, kAny},
    {"minCTAs", offsetof(ncclConfig_t, minCTAs), 21700, 1, kAny},
    {"maxCTAs", offsetof(ncclConfig_t, maxCTAs), 21700, 1, kAny},
    {"splitShare", offsetof(ncclConfig_t, splitShare), 21700, 0, 1},
    {"trafficClass", offsetof(ncclConfig_t, trafficClass), 22500, INT_MIN, kAny},
    {"collnetEnable", offsetof(ncclConfig_t, collnetEnable), 22700, 0, 1},
    {"CTAPolicy", offsetof(ncclConfig_t, CTAPolicy), 22700, INT_MIN, kAny},
    {"shrinkShare", offsetof(ncclConfig_t, shrinkShare), 22700, 0, 1},
    {"nvlsCTAs", offsetof(ncclConfig_t, nvlsCTAs), 22700, 1, kAny},
    {"nChannelsPerNetPeer", offsetof(ncclConfig_t, nChannelsPerNetPeer), 22800, 1, kAny},
    {"nvlinkCentricSched", offsetof(ncclConfig_t, nvlinkCentricSched), 22800, 0, 1},
    {"graphUsageMode", offsetof(ncclConfig_t, graphUsageMode), 22900, 0, 2},
    {"numRmaCtx", offsetof(ncclConfig_t, numRmaCtx), 22900, 0, kAny},
    {"maxP2pPeers", offsetof(ncclConfig_t, maxP2pPeers), 23000, 1, kAny},
    {"graphStreamOrdering", offsetof(ncclConfig_t, graphStreamOrdering), 23005, 0, 1},
});

int& at(Newest& config, const Field& field) { return *reinterpret_cast<int*>(reinterpret_cast<char*>(&config) + field.offset); }

template <class... Args>
Error bad(fmt::format_string<Args...> format, Args&&... args) {
  return {Code::invalid_argument, "the communicator's config: " + fmt::format(format, std::forward<Args>(args)...)};
}

// A copy in our layout, in which what the program cannot have set is unset.
Result<Newest> copy_of(const ncclConfig_t& given) {
  Newest config;
  std::size_t size = 0;
  std::memcpy(&size, &given, sizeof size);
  if (size < kHeaderBytes + sizeof(int))
    return bad("size is {}, less than any version's (set it with NCCL_CONFIG_INITIALIZER)", size);
  std::memcpy(static_cast<void*>(&config), &given, std::min(size, sizeof config));
  if (config.common.magic != NCCL_API_MAGIC)
    return bad("magic is {:#x} instead of {:#x} (set it with NCCL_CONFIG_INITIALIZER)", config.common.magic, NCCL_API_MAGIC);
  const unsigned version = config.common.version;
  for (const Field& f : kFields)
    if (version < f.since) at(config, f) = kUnset;
  if (version < 21700) config.common.netName = nullptr;
  if (version < 22700) config.common.commName = nullptr;
  return config;
}

std::optional<bool> blocking_by_environment() {
  const auto value = environment("NCCL_COMM_BLOCKING");
  if (value == "0") return false;
  if (value == "1") return true;
  return std::nullopt;
}

}  // namespace

Result<Settings> read_config(const ncclConfig_t* given, Settings settings) {
  if (given != nullptr) {
    auto config = copy_of(*given);
    if (!config) return std::move(config.error());
    for (const Field& f : kFields)
      if (const int value = at(*config, f); value != kUnset && (value < f.least || value > f.most))
        return bad("{} is {}, expected {}", f.name, value,
                   f.most == kAny ? fmt::format("{} or more", f.least) : fmt::format("{} to {}", f.least, f.most));
    const ncclConfig_t& c = config->common;
    if (c.minCTAs != kUnset && c.maxCTAs != kUnset && c.minCTAs > c.maxCTAs)
      return bad("minCTAs is {}, more than maxCTAs, which is {}", c.minCTAs, c.maxCTAs);
    if (c.blocking != kUnset) settings.blocking = c.blocking == 1;
    if (c.commName != nullptr) settings.name = c.commName;
  }
  if (const auto blocking = blocking_by_environment()) settings.blocking = *blocking;
  return settings;
}

Status check_call_config(const ncclCollConfig_t* given) {
  if (given == nullptr) return {};
  ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER;
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  const auto wrong = [](std::string why) { return Error(Code::invalid_argument, "the call's config: " + std::move(why)); };
  if (size < offsetof(ncclCollConfig_t, ext)) return wrong(fmt::format("size is {}, less than any version's", size));
  std::memcpy(&config, given, std::min(size, sizeof config));
  if (config.magic != NCCL_API_MAGIC)
    return wrong(
        fmt::format("magic is {:#x} instead of {:#x} (set it with NCCL_COLLCONFIG_INITIALIZER)", config.magic, NCCL_API_MAGIC));
  if (config.algSelection != nullptr && *config.algSelection != '\0' && config.forceAlgSelection != 0)
    return wrong(
        fmt::format("algSelection '{}' names algorithms of NCCL, which are not there; forceAlgSelection 0 lets the library "
                    "choose (TUTTI_ALGORITHM forces one of tutti's)",
                    config.algSelection));
  if (config.launchCompletionEvent != nullptr) return wrong("launchCompletionEvent is a CUDA event, and there is no CUDA here");
  return {};
}

}  // namespace tutti::nccl
