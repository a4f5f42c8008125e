#include "runtime/device_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "device/image.h"
#include "schedule/passes.h"
#include "select/devices.h"

namespace tutti {
namespace {

constexpr std::size_t kMostReady = 1024;  // of each kind; a program seldom makes calls of so many shapes

// The device that a rank's streams belong to.
Result<std::string> bus_id_of(const gpu::Driver& d) {
  int device = 0;
  char bus_id[32] = {};
  if (auto s = gpu::check(d, d.context_device(&device), "cuCtxGetDevice"); !s) return std::move(s.error());
  if (auto s = gpu::check(d, d.device_pci(bus_id, sizeof bus_id, device), "cuDeviceGetPCIBusId"); !s) return std::move(s.error());
  return std::string(bus_id);
}

// Every rank's device; empty: it has none.
Result<std::vector<std::string>> gather_devices(Job& job, const std::string& mine) {
  auto all = job.session().overlay->all_gather(std::as_bytes(std::span(mine)));
  if (!all) return std::move(all.error());
  std::vector<std::string> devices;
  for (const auto& one : *all) devices.emplace_back(reinterpret_cast<const char*>(one.data()), one.size());
  return devices;
}

// Of what ranks must agree on.
std::uint32_t signature_of(const Request& r, const Candidate& chosen) {
  Hasher h;
  h.value(r.collective).value(r.count).value(r.type).value(r.root).text(chosen.algorithm->name);
  if (reduces(r.collective)) h.value(r.op.kind);
  h.value(chosen.chunking.pieces).value(chosen.chunking.radix);
  return static_cast<std::uint32_t>(h.result());
}

}  // namespace

Result<std::unique_ptr<DeviceCalls>> DeviceCalls::make(const gpu::Driver& driver, gpu::ContextHandle context, Runner& runner) {
  Job& job = runner.job();
  const gpu::Entered entered(driver, context);
  auto mine = job.config().text(Var::cuda) == "host" ? std::string() : bus_id_of(driver);
  if (!mine) return std::move(mine.error());
  auto devices = gather_devices(job, *mine);
  if (!devices) return std::move(devices.error());
  if (const auto none = std::ranges::find(*devices, ""); none != devices->end())
    return Error(Code::unsupported, fmt::format("rank {} has no device, or TUTTI_CUDA=host", none - devices->begin()));
  std::unique_ptr<DeviceCalls> made(new DeviceCalls(runner, on_devices(job.machine(), *devices, job.topology())));
  auto executor = gpu::StreamExecutor::make(
      {.lanes = {.driver = &driver, .context = context, .rank = job.rank(), .ranks = job.size(), .courier = &made->letters_},
       .image = device::image()});
  if (!executor) return std::move(executor.error());
  if (auto s = made->letters_.flush(); !s) return std::move(s.error());
  made->executor_ = std::move(*executor);
  return made;
}

Status DeviceCalls::stay_away(Runner& runner) {
  if (runner.job().size() == 1) return {};
  auto devices = gather_devices(runner.job(), "");
  return devices ? Status{} : Status(std::move(devices.error()));
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

Result<const DeviceCalls::Ready*> DeviceCalls::prepare(const Request& r) {
  if (const Ready* known = find(r)) return known;
  const SelectRequest asked = runner_.question(r);
  auto winner = [&]() -> Result<Candidate> {
    if (r.algorithm.empty() && r.algorithm_filter.empty()) return choices_.choose(asked, machine_);
    auto selection = select(asked, machine_);
    if (!selection) return std::move(selection.error());
    return std::move(selection->candidates.front());
  }();
  if (!winner) return std::move(winner.error());
  const Algorithm* algorithm = winner->algorithm;
  const auto build = [this, algorithm, root = r.root, chunking = winner->chunking](Rank rank, bool in_place) {
    return fuse(algorithm->build(rank, shape_on(machine_, root, in_place), chunking));
  };
  const gpu::CollectiveCall call{.collective = r.collective,
                                 .ranks = machine_.ranks,
                                 .count = r.count,
                                 .type = r.type,
                                 .op = r.op,
                                 .meets_at_once = algorithm->meets_at_once,
                                 .build = [&build](Rank rank) { return build(rank, false); },
                                 .signature = signature_of(r, *winner)};
  auto prepared = executor_->prepare(call, build(runner_.job().rank(), r.in_place));
  if (!prepared) return prepared.because(fmt::format("{} by {} on devices", name(r.collective), algorithm->name));
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (collectives_.size() >= kMostReady) collectives_.clear();
  return &collectives_.insert_or_assign(shape_of(r), Ready{std::move(*prepared), std::string(algorithm->name)}).first->second;
}

Result<const DeviceCalls::Ready*> DeviceCalls::prepare(std::span<const gpu::Message> group) {
  if (const Ready* known = find(group)) return known;
  auto prepared = executor_->prepare(group);
  if (!prepared) return prepared.because("messages between devices");
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (groups_.size() >= kMostReady) groups_.clear();
  return &groups_.insert_or_assign({group.begin(), group.end()}, Ready{std::move(*prepared), "send_recv"}).first->second;
}

}  // namespace tutti
