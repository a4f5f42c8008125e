#include "transports/verbs/verbs_transport.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "core/log.h"
#include "transports/shm/segments.h"
#include "transports/verbs/networks.h"
#include "transports/verbs/survey.h"

namespace tutti::verbs {
namespace {

// Memory of tutti::allocate().
class SegmentLifetimes final : public Lifetimes {
 public:
  [[nodiscard]] std::optional<std::uint64_t> find(ConstBytes memory) const override {
    const auto location = shm::Segments::of_process().find(memory);
    if (!location) return std::nullopt;
    return location->segment;
  }
  void keep_existing(std::unordered_set<std::uint64_t>& numbers) const override {
    numbers = shm::Segments::of_process().existing(numbers);
  }
};

std::string kinds_of(std::span<const PortSummary> ports) {
  std::vector<std::string_view> names;
  for (const PortSummary& port : ports)
    if (const auto text = kind(port.fabric); std::ranges::find(names, text) == names.end()) names.push_back(text);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

VerbsTransport::VerbsTransport(const TransportOptions& options, const Tuning& tuning, const Result<Library>& library,
                               const Lifetimes& lifetimes)
    : options_(options), tuning_(tuning), library_(library), lifetimes_(lifetimes), tcp_(options) {}

Result<VerbsTransport::Rails> VerbsTransport::find() const {
  if (!library_) return library_.error().clone();
  Survey found = survey(*library_);
  std::string refused;
  for (const Survey::Refused& each : found.refused) refused += (refused.empty() ? "" : "; ") + each.why.to_string();
  if (found.ports.empty() && !refused.empty()) return Error(Code::environment, "no RDMA device can be opened: " + refused);
  auto used = used_ports(options_.ib.devices, options_.ib.gid_index, options_.ib.near, found.ports);
  if (!used) return std::move(used.error());
  for (const std::string& name : unmatched(options_.ib.devices, found.ports))
    log(LogLevel::warn,
        fmt::format("TUTTI_IB_DEVICES=\"{}\": \"{}\" is no port of an RDMA device here", options_.ib.devices, name));
  for (const Error& each : used->left_out) log(LogLevel::debug, "verbs leaves a port out: " + each.to_string());
  Rails rails;
  std::vector<std::shared_ptr<Device>> devices;
  for (const Port& port : used->ports) {
    const auto& device = found.devices[port.opened];
    const auto known = std::ranges::find(devices, device);
    const auto place = static_cast<std::size_t>(known - devices.begin());
    if (known == devices.end()) devices.push_back(device);
    rails.ports.push_back({device, port, place});
    rails.summaries.push_back(summary_of(port));
    log(LogLevel::debug, fmt::format("verbs uses {} ({}, {:g} Gbit/s, GID {})", port.to_string(), kind(port.fabric),
                                     port.megabits / 1000.0, to_string(port.gid.gid)));
  }
  if (Status fits = check_locked_memory(*devices.front()); !fits) return std::move(fits.error());
  rails.registrations = std::make_shared<Registrations>(std::move(devices), lifetimes_);
  return rails;
}

// Better TCP than connections that fail. Who is not bound by the limit (CAP_IPC_LOCK) finds out by trying.
Status VerbsTransport::check_locked_memory(Device& device) const {
  const auto peers = static_cast<std::size_t>(std::max(options_.ranks - options_.local_ranks, 1));
  const std::size_t needed = peers * Channel::memory_of(tuning_.ring_bytes);
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || needed <= limit.rlim_cur) return {};
  if (Status prepared = device.prepare(shares_receives()); !prepared) return prepared;
  void* memory = mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ibv_mr* key =
      memory == MAP_FAILED ? nullptr : library_->register_memory(device.domain(), memory, needed, IBV_ACCESS_LOCAL_WRITE);
  const int error = errno;
  if (key != nullptr) (void)library_->deregister_memory(key);
  if (memory != MAP_FAILED) (void)munmap(memory, needed);
  if (key != nullptr) return {};
  return system_error(error, fmt::format("registering the {} bytes that connections to {} rank{} take, where {} may be locked "
                                         "(ulimit -l; a smaller TUTTI_IB_RING takes less)",
                                         needed, peers, peers == 1 ? "" : "s", limit.rlim_cur));
}

Status VerbsTransport::open() {
  const std::lock_guard lock(mutex_);
  if (!rails_) {
    rails_ = std::make_unique<Result<Rails>>(find());
    // Not without a word where devices or an address were named, or would be used but for a limit.
    const bool asked = !options_.ib.devices.empty() || options_.ib.gid_index >= 0;
    if (!*rails_ && (asked || rails_->error().code() == Code::resource))
      log(LogLevel::warn, "RDMA is not used: " + rails_->error().to_string());
  }
  return *rails_ ? Status{} : rails_->error().clone();
}

Status VerbsTransport::probe() {
  if (Status opened = open(); !opened) return opened;
  return tcp_.probe();
}

Result<std::vector<std::byte>> VerbsTransport::listen() {
  if (Status opened = open(); !opened) return std::move(opened.error());
  auto tcp = tcp_.listen();
  if (!tcp) return tcp;
  return encode(VerbsAddress{.tcp = *std::move(tcp), .ports = (*rails_)->summaries});
}

std::string VerbsTransport::uses() const {
  const std::lock_guard lock(mutex_);
  if (!rails_ || !*rails_) return {};
  std::string names;
  std::uint64_t megabits = 0;
  std::vector<PortSummary> near;
  for (const RailPort& rail : (*rails_)->ports) {
    if (!rail.port.near) continue;
    names += fmt::format("{}{}:{}", names.empty() ? "" : ", ", rail.port.device, rail.port.number);
    megabits += rail.port.megabits;
    near.push_back(summary_of(rail.port));
  }
  return fmt::format("{} ({}, {:g} Gbit/s)", names, kinds_of(near), static_cast<double>(megabits) / 1000);
}

Result<Pairing> VerbsTransport::pair(Rank peer, const VerbsAddress& theirs) {
  if (Status opened = open(); !opened) return std::move(opened.error());
  Pairing pairing = pair_ports((*rails_)->summaries, theirs.ports);
  if (pairing.mine.empty())
    return Error(Code::unsupported,
                 fmt::format("rank {} has ports of {}, this rank of {}, and no two in one network (TUTTI_IB_DEVICES and "
                             "TUTTI_IB_GID_INDEX choose others)",
                             peer, kinds_of(theirs.ports), kinds_of((*rails_)->summaries)),
                 peer);
  return pairing;
}

Status VerbsTransport::reaches(Rank peer, ConstBytes peer_address) {
  auto theirs = decode_verbs_address(peer_address);
  if (!theirs)
    return Error(Code::protocol, fmt::format("the address that rank {} gave: {}", peer, theirs.error().to_string()), peer);
  auto pairing = pair(peer, *theirs);
  if (!pairing) return std::move(pairing.error());
  for (std::size_t i = 0; pairing->routed && i < pairing->mine.size(); ++i) {
    const RailPort& rail = (*rails_)->ports[pairing->mine[i]];
    ibv_gid there{};
    std::ranges::copy(theirs->ports[pairing->theirs[i]].gid, there.raw);
    if (Status way = check_route(rail.port.gid.gid, there); !way) return way.because(rail.port.to_string());
  }
  return tcp_.reaches(peer, theirs->tcp);
}

// What devices need for connections takes memory, which a process that has none should not spend. Memory is registered with all
// devices.
Status VerbsTransport::prepare() {
  for (const RailPort& rail : (*rails_)->ports)
    if (Status prepared = rail.device->prepare(shares_receives()); !prepared) return prepared;
  return {};
}

Result<std::unique_ptr<Endpoint>> VerbsTransport::connect(const ConnectRequest& request) {
  auto theirs = decode_verbs_address(request.peer_address);
  if (!theirs) return theirs.because(fmt::format("the address that rank {} gave", request.peer));
  auto pairing = pair(request.peer, *theirs);
  if (!pairing) return std::move(pairing.error());
  if (Status prepared = prepare(); !prepared) return std::move(prepared.error());
  ConnectRequest by_tcp = request;
  by_tcp.peer_address = theirs->tcp;
  auto opening = tcp_.open(by_tcp, 1);
  if (!opening) return std::move(opening.error());
  // Small messages use the first rail only: streams take turns with it.
  const std::size_t first = request.stream % pairing->mine.size();
  std::ranges::rotate(pairing->mine, pairing->mine.begin() + static_cast<std::ptrdiff_t>(first));
  std::ranges::rotate(pairing->megabits, pairing->megabits.begin() + static_cast<std::ptrdiff_t>(first));
  Setup setup{.peer = request.peer,
              .opening = *std::move(opening),
              .rails = {},
              .speeds = pairing->megabits,
              .registrations = (*rails_)->registrations,
              .path = {.timeout = options_.ib.timeout,
                       .retries = options_.ib.retries,
                       .service_level = options_.ib.service_level,
                       .traffic_class = options_.ib.traffic_class},
              .tuning = tuning_,
              .hurried_until = hurried_until_};
  for (const std::size_t i : pairing->mine) setup.rails.push_back((*rails_)->ports[i]);
  return std::unique_ptr<Endpoint>(std::make_unique<VerbsEndpoint>(std::move(setup)));
}

const Lifetimes& segment_lifetimes() {
  static const SegmentLifetimes lifetimes;
  return lifetimes;
}

}  // namespace tutti::verbs

namespace tutti {

std::unique_ptr<Transport> make_verbs(const TransportOptions& options) {
  verbs::Tuning tuning;
  tuning.ring_bytes = options.ib.ring_bytes;
  tuning.ask_from = static_cast<std::uint32_t>(tuning.ring_bytes / 4);
  tuning.place_from = std::max<std::size_t>(tuning.place_from, tuning.ask_from);
  return std::make_unique<verbs::VerbsTransport>(options, tuning, verbs::library(), verbs::segment_lifetimes());
}

}  // namespace tutti
