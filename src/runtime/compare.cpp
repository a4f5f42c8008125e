// Transports between hosts, measured against each other: each by a communicator of its own, which measures when it starts.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/calibrate.h"
#include "runtime/communicator_impl.h"
#include "runtime/tuner.h"
#include "tutti/unique_id.h"

namespace tutti {
namespace {

// So that neither latency nor bandwidth decides alone.
double time_squared(const TunedTransport& t) { return t.us * (t.us + static_cast<double>(kLargeBytes) / (t.gbps * 1e3)); }

}  // namespace

Result<TunedTransport> Tuner::measure_over(const std::string& transport) {
  UniqueId id;  // where there is none, it is no id, and all fail alike
  Status has_id;
  if (communicator_.rank() == 0) {
    auto made = create_unique_id();
    if (made) id = *made;
    if (!made) has_id = std::move(made.error());
  }
  const std::span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(id.bytes.data()), id.bytes.size());
  if (auto s = communicator_.broadcast(bytes, 0); !s) return std::move(s.error());
  if (!has_id) return std::move(has_id.error());
  auto over = Communicator::create(id, communicator_.rank(), communicator_.size(), {.transports = "shm," + transport});
  if (!over) return std::move(over.error());
  const Job& job = over->impl_->runner->job();
  const JobMachine& machine = job.machine();
  if (machine.ranks == machine.ranks_per_host)
    return Error(Code::invalid_argument, "all ranks are on one host: start them on several, as the jobs will be");
  if (!job.uses(transport) || machine.links.back().origin != Origin::system)
    return Error(Code::unsupported, "it joins no hosts here");
  return TunedTransport{transport, machine.links.back().latency_us, machine.links.back().bandwidth_gbps};
}

Result<std::vector<ComparedTransport>> Tuner::compare(std::span<const std::string> transports) {
  std::vector<ComparedTransport> compared;
  for (const std::string& transport : transports) {
    auto measured = measure_over(transport);
    // One that does not work is no reason to stop; that this communicator is over is one.
    if (auto alive = communicator_.barrier(); !alive) return std::move(alive.error());
    ComparedTransport& one = compared.emplace_back();
    one.measured.name = transport;
    if (measured)
      one.measured = *std::move(measured);
    else
      one.refused = measured.error().to_string();
  }
  std::ranges::stable_sort(compared, [](const ComparedTransport& a, const ComparedTransport& b) {
    if (!a.refused.empty() || !b.refused.empty()) return a.refused.empty() && !b.refused.empty();
    return time_squared(a.measured) < time_squared(b.measured);
  });
  return compared;
}

TunedHosts Tuner::between_hosts(const std::vector<ComparedTransport>& compared) const {
  TunedHosts hosts = job_.hosts_layout();
  for (const ComparedTransport& one : compared)
    if (one.refused.empty()) hosts.transports.push_back(one.measured);
  return hosts;
}

}  // namespace tutti
