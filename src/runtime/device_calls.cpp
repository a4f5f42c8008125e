#include "runtime/device_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/log.h"
#include "device/image.h"
#include "gpu/one_pass.h"

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

// What all ranks know that knows most of the devices: what a rank sees itself may be less.
const Topology& description_of(const std::vector<std::string>& devices, const Placement& placement) {
  return *std::ranges::max_element(placement.machines, {}, [&](const Topology& machine) {
    return std::ranges::count_if(devices, [&](const std::string& device) { return gpu_at(machine, device) != kNoNode; });
  });
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
    return Error(Code::unsupported,
                 fmt::format("rank {} has {}", none - places->begin(), none->how == "host" ? "TUTTI_CUDA=host" : "no device"));
  if (job.machine().ranks_per_host < job.size()) return Error(Code::unsupported, "the ranks are on several hosts");
  std::vector<std::string> devices;
  for (const RankDevice& place : *places) devices.push_back(place.device);
  const auto any = [&](std::string_view how) { return std::ranges::find(*places, how, &RankDevice::how) != places->end(); };
  std::unique_ptr<DeviceCalls> made(
      new DeviceCalls(driver, context, runner, lay_out(devices, description_of(devices, job.placement()))));
  auto executor = gpu::StreamExecutor::make(
      {.lanes = {.driver = &driver, .context = context, .rank = job.rank(), .ranks = job.size(), .courier = &made->letters_},
       .image = device::image()});
  if (!executor) return std::move(executor.error());
  made->executor_ = std::move(*executor);
  if (any("streams")) made->ways_.refuse_kernels("TUTTI_CUDA=streams");
  if (any("kernel")) made->ways_.refuse_streams("TUTTI_CUDA=kernel");
  if (made->ways_.no_kernels().empty())
    if (auto s = made->meet_kernels(); !s) return std::move(s.error());
  made->meet_in_one_pass(context);
  if (auto s = made->letters_.flush(); !s) return std::move(s.error());
  return made;
}

// Ranks of other processes show their memory to the one that does calls for all.
void DeviceCalls::meet_in_one_pass(gpu::ContextHandle context) {
  const gpu::Lanes& lanes = executor_->station()->lanes();
  if (!ways_.has_one_pass()) return;
  if (const Rank me = executor_->station()->rank(); me != gpu::kOnePassRank) {
    if (!lanes.in_this_process(gpu::kOnePassRank))
      shown_ = std::make_unique<gpu::ShownMemory>(driver_, asked_, gpu::kOnePassRank);
    return;
  }
  std::vector<Rank> others;
  for (Rank r = 0; r < executor_->station()->ranks(); ++r)
    if (!lanes.in_this_process(r)) others.push_back(r);
  if (!others.empty()) seen_ = std::make_unique<gpu::SeenMemory>(driver_, context, asked_, std::move(others));
}

// Where the rank that does the call sees it. Code::unsupported: nowhere.
Result<gpu::Address> DeviceCalls::seen(const Ready& ready, gpu::Address buffer) {
  if (gpu::locate(driver_, reinterpret_cast<const void*>(buffer)).kind == MemoryKind::host)  // NOLINT(performance-no-int-to-ptr)
    return Error(Code::unsupported, "ordinary memory");
  return ready.one_pass && shown_ ? shown_->seen_at(buffer) : buffer;
}

bool DeviceCalls::may_wait(const Ready& ready, std::span<const gpu::DeviceBuffers> buffers) const {
  const auto is_ordinary = [&](gpu::Address buffer) {
    return buffer != 0 && gpu::locate(driver_, reinterpret_cast<const void*>(buffer)).kind ==
                              MemoryKind::host;  // NOLINT(performance-no-int-to-ptr)
  };
  return (ready.one_pass && shown_) ||
         std::ranges::any_of(buffers, [&](const auto& b) { return is_ordinary(b.input) || is_ordinary(b.output); });
}

Status DeviceCalls::enqueue(const Ready& ready, std::span<const gpu::DeviceBuffers> buffers, const gpu::Factor& factor,
                            gpu::StreamHandle stream) {
  Status wrong;
  const auto is_out_of_sight = [&](gpu::Address buffer) {
    if (!wrong) return false;
    const auto found = seen(ready, buffer);
    if (!found && found.error().code() != Code::unsupported) wrong = found.error().clone();
    return !found;
  };
  auto used = staged_.enter(buffers, ready.extents, is_out_of_sight, ready.apart, stream);
  if (!used) return std::move(used.error());
  if (!wrong) return wrong;
  if (ready.kernel) {
    if (auto s = kernels_->enqueue(*ready.kernel, used->front(), factor, stream); !s) return s;
    return staged_.leave(stream);
  }
  gpu::DeviceBuffers there;
  if (ready.one_pass) {
    const auto see = [&](gpu::Address buffer, std::uint64_t bytes) -> Result<gpu::Address> {
      return bytes == 0 ? gpu::Address{0} : seen(ready, buffer);
    };
    auto input = see(used->front().input, ready.extents.front().input);
    if (!input) return input.because("a rank's input");
    auto output = see(used->front().output, ready.extents.front().output);
    if (!output) return output.because("a rank's output");
    there = {*input, *output};
  }
  if (auto s = executor_->enqueue(*ready.prepared, *used, factor, stream, there); !s) return s;
  return staged_.leave(stream);
}

// What a rank reads and writes of its buffers.
gpu::Extents DeviceCalls::extents_of(const Request& r) const {
  const Rank ranks = runner_.job().size(), me = runner_.job().rank();
  const bool from_root = r.collective == Collective::broadcast || r.collective == Collective::scatter;
  const bool to_root = r.collective == Collective::reduce || r.collective == Collective::gather;
  const bool gets_nothing = (to_root && me != r.root) || (r.collective == Collective::exscan && me == 0);
  const std::uint64_t block = r.count * r.element_size();
  return {.input = from_root && me != r.root ? 0 : input_chunks(r.collective, ranks, 1) * block,
          .output = gets_nothing ? 0 : output_chunks(r.collective, ranks, 1) * block};
}

Status DeviceCalls::meet_kernels() {
  auto kernels = gpu::KernelExecutor::make(executor_->station());
  if (!kernels && kernels.error().code() != Code::unsupported) return std::move(kernels.error());
  if (!kernels) {
    log(LogLevel::info, fmt::format("no kernel does calls of devices: {}", kernels.error().to_string()));
    ways_.refuse_kernels(kernels.error().to_string());
    return {};
  }
  kernels_ = std::move(*kernels);
  return {};
}

std::string_view DeviceCalls::no_more_kernels(const Request& r) const {
  return with_kernels_.size() < kMostKernelCalls || with_kernels_.contains(shape_of(r))
             ? ""
             : "as many shapes of calls as may have kernels have them";
}

Status DeviceCalls::stay_away(Runner& runner) {
  if (runner.job().size() == 1) return {};
  auto places = gather_places(runner.job(), {});
  return places ? Status{} : Status(std::move(places.error()));
}

DeviceCalls::Shape DeviceCalls::shape_of(const Request& r) {
  return {r.collective,
          r.count,
          r.type,
          reduces(r.collective) ? r.op.kind : ReduceKind::sum,
          r.root,
          std::string(r.algorithm),
          std::string(r.algorithm_filter),
          r.numerics.at_once};
}

DeviceCalls::ReadyPtr DeviceCalls::find(const Request& request) const {
  const auto known = collectives_.find({shape_of(request), request.in_place});
  return known == collectives_.end() ? nullptr : known->second;
}

DeviceCalls::ReadyPtr DeviceCalls::find(std::span<const gpu::Message> group) const {
  const auto known = groups_.find({group.begin(), group.end()});
  return known == groups_.end() ? nullptr : known->second;
}

Result<DeviceCalls::Ready> DeviceCalls::prepare(const Request& r, const DeviceWay& way) {
  const gpu::CollectiveCall call = ways_.call_of(r, way);
  Ready ready{.prepared = {}, .kernel = {}, .algorithm = std::string(way.algorithm()), .extents = {extents_of(r)}};
  if (way.one_pass) {
    // Before others can be in the call.
    if (gpu::one_pass_parts_buffers(r.collective))
      if (auto s = staged_.reserve(ready.extents.front().input); !s) return std::move(s.error());
    auto prepared = executor_->prepare_one_pass(call);
    if (!prepared) return std::move(prepared.error());
    ready.prepared = std::move(*prepared);
    ready.one_pass = true;
    ready.apart = gpu::one_pass_parts_buffers(r.collective);
    log(LogLevel::debug, fmt::format("{} of {} in one pass for all ranks: {} operations of a stream, {:.3g} us expected",
                                     tutti::name(r.collective), r.count, ready.prepared->operations(), way.us));
    return ready;
  }
  const Schedule mine = ways_.schedule_of(way, runner_.job().rank(), r.root, r.in_place);
  if (way.protocol) {
    auto kernel = kernels_->prepare(call, mine, protocol_of(*way.protocol), way.channels);
    if (!kernel) return std::move(kernel.error());
    ready.kernel = std::move(*kernel);
    ready.way = fmt::format("kernel {}", name(*way.protocol));
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

Result<DeviceCalls::ReadyPtr> DeviceCalls::prepare(const Request& r) {
  if (auto known = find(r)) return known;
  const SelectRequest asked = runner_.question(r);
  auto way = ways_.choose(r, asked, no_more_kernels(r));
  if (!way) return std::move(way.error());
  auto ready = prepare(r, *way);
  if (!ready && way->protocol && ready.error().code() == Code::unsupported) {
    // Known to all ranks.
    if (way = ways_.price(r, asked, {}); !way) return std::move(way.error());
    ready = prepare(r, *way);
  }
  if (!ready) return ready.because(fmt::format("{} by {} on devices", tutti::name(r.collective), way->algorithm()));
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (collectives_.size() >= kMostReady)
    std::erase_if(collectives_, [](const auto& known) { return known.second->kernel == nullptr; });
  if (ready->kernel) with_kernels_.insert(shape_of(r));
  const auto made = std::make_shared<const Ready>(std::move(*ready));
  return collectives_.insert_or_assign({shape_of(r), r.in_place}, made).first->second;
}

std::vector<gpu::Extents> DeviceCalls::extents_of(std::span<const gpu::Message> group) {
  std::vector<gpu::Extents> extents;
  for (const gpu::Message& m : group)
    extents.push_back(m.sent ? gpu::Extents{.input = m.bytes} : gpu::Extents{.output = m.bytes});
  return extents;
}

Result<DeviceCalls::ReadyPtr> DeviceCalls::prepare(std::span<const gpu::Message> group) {
  if (auto known = find(group)) return known;
  auto prepared = executor_->prepare(group);
  if (!prepared) return prepared.because("messages between devices");
  if (auto s = letters_.flush(); !s) return std::move(s.error());
  if (groups_.size() >= kMostReady) groups_.clear();
  const auto made = std::make_shared<const Ready>(
      Ready{.prepared = std::move(*prepared), .kernel = {}, .algorithm = "send_recv", .extents = extents_of(group)});
  return groups_.insert_or_assign({group.begin(), group.end()}, made).first->second;
}

}  // namespace tutti
