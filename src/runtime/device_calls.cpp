#include "runtime/device_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/hash.h"
#include "core/log.h"
#include "device/image.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

constexpr std::size_t kMostReady = 1024;  // of each kind; a program seldom makes calls of so many shapes
// What these take of the device stays taken, as graphs may use it; further shapes are left to operations of streams.
constexpr std::size_t kMostKernelCalls = 512;

// The device that a rank's streams belong to.
Result<std::string> bus_id_of(const gpu::Driver& d) {
  int device = 0;
  char bus_id[32] = {};
  if (auto s = gpu::check(d, d.context_device(&device), "cuCtxGetDevice"); !s) return std::move(s.error());
  if (auto s = gpu::check(d, d.device_pci(bus_id, sizeof bus_id, device), "cuDeviceGetPCIBusId"); !s) return std::move(s.error());
  return std::string(bus_id);
}

// What a rank says of itself: how calls are to be done there (TUTTI_CUDA), and the device, or nothing if it has none.
struct RankDevice {
  std::string how = {}, device = {};
};
constexpr char kBetween = ' ';

Result<std::vector<RankDevice>> gather_places(Job& job, const RankDevice& mine) {
  const std::string text = mine.how + kBetween + mine.device;
  auto all = job.session().overlay->all_gather(std::as_bytes(std::span(text)));
  if (!all) return std::move(all.error());
  std::vector<RankDevice> places;
  for (const auto& one : *all) {
    const std::string_view said(reinterpret_cast<const char*>(one.data()), one.size());
    const std::size_t at = std::min(said.find(kBetween), said.size());
    places.push_back({std::string(said.substr(0, at)), std::string(said.substr(std::min(at + 1, said.size())))});
  }
  return places;
}

device::Protocol protocol_of(KernelProtocol protocol) {
  switch (protocol) {
    case KernelProtocol::ll:
      return device::Protocol::ll;
    case KernelProtocol::ll128:
      return device::Protocol::ll128;
    case KernelProtocol::simple:
      break;
  }
  return device::Protocol::simple;
}

std::string_view name(KernelProtocol protocol) {
  constexpr std::string_view kNames[kKernelProtocols] = {"simple", "LL", "LL128"};
  return kNames[static_cast<std::size_t>(protocol)];
}

// Of what ranks must agree on.
std::uint32_t signature_of(const Request& r, const Candidate& chosen, int protocol, unsigned channels) {
  Hasher h;
  h.value(r.collective).value(r.count).value(r.type).value(r.root).text(chosen.algorithm->name);
  if (reduces(r.collective)) h.value(r.op.kind);
  h.value(chosen.chunking.pieces).value(chosen.chunking.radix);
  h.value(protocol).value(channels);
  return static_cast<std::uint32_t>(h.result());
}

}  // namespace

Result<std::unique_ptr<DeviceCalls>> DeviceCalls::make(const gpu::Driver& driver, gpu::ContextHandle context, Runner& runner) {
  Job& job = runner.job();
  const gpu::Entered entered(driver, context);
  RankDevice mine{.how = std::string(job.config().text(Var::cuda))};
  if (mine.how != "host") {
    auto device = bus_id_of(driver);
    if (!device) return std::move(device.error());
    mine.device = std::move(*device);
  }
  auto places = gather_places(job, mine);
  if (!places) return std::move(places.error());
  if (const auto none = std::ranges::find(*places, "", &RankDevice::device); none != places->end())
    return Error(Code::unsupported, fmt::format("rank {} has no device, or TUTTI_CUDA=host", none - places->begin()));
  if (job.machine().ranks_per_host < job.size()) return Error(Code::unsupported, "the ranks are on several hosts");
  std::vector<std::string> devices;
  for (const RankDevice& place : *places) devices.push_back(place.device);
  const auto any = [&](std::string_view how) { return std::ranges::find(*places, how, &RankDevice::how) != places->end(); };
  std::unique_ptr<DeviceCalls> made(new DeviceCalls(runner, std::move(devices)));
  auto executor = gpu::StreamExecutor::make(
      {.lanes = {.driver = &driver, .context = context, .rank = job.rank(), .ranks = job.size(), .courier = &made->letters_},
       .image = device::image()});
  if (!executor) return std::move(executor.error());
  made->executor_ = std::move(*executor);
  if (!any("streams") && may_spin(made->devices_))
    if (auto s = made->meet_kernels(any("kernel")); !s) return std::move(s.error());
  if (auto s = made->letters_.flush(); !s) return std::move(s.error());
  return made;
}

Status DeviceCalls::meet_kernels(bool only_kernels) {
  auto kernels = gpu::KernelExecutor::make(executor_->station());
  if (!kernels && kernels.error().code() != Code::unsupported) return std::move(kernels.error());
  if (!kernels) {
    log(LogLevel::info, fmt::format("no kernel does calls of devices: {}", kernels.error().to_string()));
    return {};
  }
  kernels_ = std::move(*kernels);
  protocols_ = protocols_between(devices_, runner_.job().topology());
  streams_ = !only_kernels;
  return {};
}

Status DeviceCalls::stay_away(Runner& runner) {
  if (runner.job().size() == 1) return {};
  auto places = gather_places(runner.job(), {});
  return places ? Status{} : Status(std::move(places.error()));
}

bool DeviceCalls::serves(const Request& r) {
  return r.equal_blocks() && !(reduces(r.collective) && r.op.kind == ReduceKind::user);
}

DeviceCalls::Shape DeviceCalls::shape_of(const Request& r) {
  return {r.collective,
          r.count,
          r.type,
          reduces(r.collective) ? r.op.kind : ReduceKind::sum,
          r.root,
          r.in_place,
          std::string(r.algorithm),
          std::string(r.algorithm_filter)};
}

const DeviceCalls::Ready* DeviceCalls::find(const Request& request) const {
  const auto known = collectives_.find(shape_of(request));
  return known == collectives_.end() ? nullptr : &known->second;
}

const DeviceCalls::Ready* DeviceCalls::find(std::span<const gpu::Message> group) const {
  const auto known = groups_.find({group.begin(), group.end()});
  return known == groups_.end() ? nullptr : &known->second;
}

Result<DeviceCalls::Way> DeviceCalls::price(const Request& r, std::optional<KernelProtocol> protocol) {
  const SelectRequest asked = runner_.question(r);
  Way way{.protocol = protocol};
  if (protocol)
    way.channels = channels_for(*protocol, asked.block_bytes * std::max(input_chunks(r.collective, machine_.ranks, 1),
                                                                        output_chunks(r.collective, machine_.ranks, 1)));
  auto known = costed_.find({protocol, way.channels});
  if (known == costed_.end()) {
    JobMachine machine =
        protocol ? on_kernels(runner_.job().machine(), devices_, runner_.job().topology(), *protocol, way.channels) : machine_;
    known = costed_.emplace(std::pair{protocol, way.channels}, Costed{std::move(machine)}).first;
  }
  Costed& on = known->second;
  auto winner = [&]() -> Result<Candidate> {
    if (r.algorithm.empty() && r.algorithm_filter.empty()) return on.choices.choose(asked, on.machine);
    auto selection = select(asked, on.machine);
    if (!selection) return std::move(selection.error());
    return std::move(selection->candidates.front());
  }();
  if (!winner) return std::move(winner.error());
  way.candidate = std::move(*winner);
  tutti::price(way.candidate, asked, on.machine, on.costs);  // a table's is that of another size
  auto turns = turns_of(r, way);
  if (!turns) return std::move(turns.error());
  way.us = way.candidate.total_us + (*turns - 1) * way.candidate.latency_us + (protocol ? launch_us(*protocol) : 0);
  return way;
}

// Pieces that come one after the other, each with its latency. Infinitely many where it cannot be done this way.
Result<double> DeviceCalls::turns_of(const Request& r, const Way& way) const {
  const gpu::CollectiveCall call = call_of(r, way);
  if (!way.protocol) {
    auto pieces = gpu::cut(call);
    if (!pieces) return std::move(pieces.error());
    return static_cast<double>(std::max<std::uint64_t>(pieces->pieces, 1));
  }
  auto layout = gpu::kernel_layout(call, protocol_of(*way.protocol), way.channels);
  if (!layout && layout.error().code() == Code::unsupported) return std::numeric_limits<double>::infinity();
  if (!layout) return std::move(layout.error());
  return static_cast<double>(std::max<std::uint64_t>((layout->cut.pieces + layout->blocks - 1) / layout->blocks, 1));
}

Schedule DeviceCalls::schedule_of(const Way& way, Rank rank, Rank root, bool in_place) const {
  return fuse(way.candidate.algorithm->build(rank, shape_on(machine_, root, in_place), way.candidate.chunking));
}

gpu::CollectiveCall DeviceCalls::call_of(const Request& r, const Way& way) const {
  return {.collective = r.collective,
          .ranks = machine_.ranks,
          .count = r.count,
          .type = r.type,
          .op = r.op,
          .meets_at_once = way.candidate.algorithm->meets_at_once,
          .build = [this, &way, root = r.root](Rank rank) { return schedule_of(way, rank, root, false); },
          .signature = signature_of(r, way.candidate, way.protocol ? static_cast<int>(*way.protocol) : -1, way.channels)};
}

// The cheapest; the same on all ranks.
Result<DeviceCalls::Way> DeviceCalls::choose(const Request& r) {
  std::vector<std::optional<KernelProtocol>> all;
  if (kernel_calls_ < kMostKernelCalls) all.assign(protocols_.begin(), protocols_.end());
  if (streams_ || all.empty()) all.emplace_back();
  std::optional<Way> best;
  for (const auto& protocol : all) {
    auto way = price(r, protocol);
    if (!way) return std::move(way.error());
    if (!best || way->us < best->us) best = std::move(*way);
  }
  return std::move(*best);
}

Result<DeviceCalls::Ready> DeviceCalls::prepare(const Request& r, const Way& way) {
  const gpu::CollectiveCall call = call_of(r, way);
  const Schedule mine = schedule_of(way, runner_.job().rank(), r.root, r.in_place);
  Ready ready{.prepared = {}, .kernel = {}, .algorithm = std::string(way.candidate.algorithm->name)};
  if (way.protocol) {
    auto kernel = kernels_->prepare(call, mine, protocol_of(*way.protocol), way.channels);
    if (!kernel) return std::move(kernel.error());
    ready.kernel = std::move(*kernel);
    log(LogLevel::debug, fmt::format("{} of {} by {}: a kernel, {}, {} blocks, {:.3g} us expected", tutti::name(r.collective),
                                     r.count, ready.algorithm, name(*way.protocol), ready.kernel->blocks(), way.us));
  } else {
    auto prepared = executor_->prepare(call, mine);
    if (!prepared) return std::move(prepared.error());
    ready.prepared = std::move(*prepared);
    log(LogLevel::debug, fmt::format("{} of {} by {}: {} operations of a stream, {:.3g} us expected", tutti::name(r.collective),
                                     r.count, ready.algorithm, ready.prepared->operations(), way.us));
  }
  return ready;
}

Result<const DeviceCalls::Ready*> DeviceCalls::prepare(const Request& r) {
  if (const Ready* known = find(r)) return known;
  auto way = choose(r);
  if (!way) return std::move(way.error());
  auto ready = prepare(r, *way);
  if (!ready && way->protocol && ready.error().code() == Code::unsupported) {
    // Known to all ranks.
    if (way = price(r, {}); !way) return std::move(way.error());
    ready = prepare(r, *way);
  }
  if (!ready) return ready.because(fmt::format("{} by {} on devices", tutti::name(r.collective), way->candidate.algorithm->name));
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (collectives_.size() >= kMostReady)
    std::erase_if(collectives_, [](const auto& known) { return known.second.kernel == nullptr; });
  if (ready->kernel) ++kernel_calls_;
  return &collectives_.insert_or_assign(shape_of(r), std::move(*ready)).first->second;
}

Result<const DeviceCalls::Ready*> DeviceCalls::prepare(std::span<const gpu::Message> group) {
  if (const Ready* known = find(group)) return known;
  auto prepared = executor_->prepare(group);
  if (!prepared) return prepared.because("messages between devices");
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (groups_.size() >= kMostReady) groups_.clear();
  return &groups_.insert_or_assign({group.begin(), group.end()}, Ready{std::move(*prepared), {}, "send_recv"}).first->second;
}

}  // namespace tutti
