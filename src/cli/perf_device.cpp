#include "cli/perf_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/hash.h"
#include "core/host.h"
#include "gpu/memory.h"

namespace tutti {
namespace {

std::uint64_t hash_of_host() { return Hasher().text(boot_id()).result(); }

// How many ranks of this host come before this one.
Result<int> number_on_host(Communicator& comm) {
  const std::uint64_t mine = hash_of_host();
  std::vector<std::uint64_t> all(static_cast<std::size_t>(comm.size()));
  if (auto s = comm.all_gather(std::span(&mine, 1), std::span(all)); !s) return std::move(s.error());
  return static_cast<int>(std::count(all.begin(), all.begin() + comm.rank(), mine));
}

}  // namespace

Result<DeviceChoice> parse_device(std::string_view text) {
  constexpr std::string_view kNumbered = "cuda:";
  if (text == "host") return DeviceChoice{};
  if (text == "cuda") return DeviceChoice{.cuda = true, .number = {}};
  int number = -1;
  if (text.starts_with(kNumbered)) {
    text.remove_prefix(kNumbered.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size() && number >= 0)
      return DeviceChoice{.cuda = true, .number = number};
    return Error(Code::invalid_argument, fmt::format("--device cuda:{}: \"{}\" is not the number of a device", text, text));
  }
  return Error(Code::invalid_argument, fmt::format("--device \"{}\": must be host, cuda, or cuda:N for device N", text));
}

Result<std::unique_ptr<PerfDevice>> PerfDevice::open(Communicator& comm, const DeviceChoice& choice) {
  auto before = number_on_host(comm);
  if (!before) return std::move(before.error());
  const gpu::Driver* d = gpu::driver();
  if (d == nullptr) return gpu::why_no_driver().clone().because("--device cuda needs NVIDIA's driver and a GPU");
  int devices = 0;
  if (auto s = gpu::check(*d, d->device_count(&devices), "cuDeviceGetCount"); !s) return std::move(s.error());
  const int number = choice.number.value_or(*before % devices);
  if (number >= devices)
    return Error(Code::invalid_argument,
                 fmt::format("--device cuda:{}: there {} 0{}", number, devices == 1 ? "is device" : "are devices",
                             devices == 1 ? "" : fmt::format(" to {}", devices - 1)));
  std::unique_ptr<PerfDevice> device(new PerfDevice(*d, number));
  if (auto s = device->enter(); !s) return s.because(fmt::format("--device cuda:{}", number));
  return device;
}

Status PerfDevice::enter() {
  auto name = gpu::device_name(driver_, number_);
  if (!name) return std::move(name.error());
  name_ = std::move(*name);
  gpu::DeviceUuid uuid{};
  if (auto s = gpu::check(driver_, driver_.device_uuid(&uuid, number_), "cuDeviceGetUuid"); !s) return s;
  id_ = Hasher().value(hash_of_host()).text({reinterpret_cast<const char*>(uuid.bytes), sizeof uuid.bytes}).result();
  gpu::ContextHandle context = nullptr;
  if (auto s = gpu::check(driver_, driver_.retain_context(&context, number_), "cuDevicePrimaryCtxRetain"); !s) return s;
  if (auto s = gpu::check(driver_, driver_.push_context(context), "cuCtxPushCurrent"); !s) return s;
  entered_ = true;
  return gpu::check(driver_, driver_.make_stream(&stream_, gpu::kNonBlocking), "cuStreamCreate");
}

PerfDevice::~PerfDevice() {
  if (memory_ != 0) (void)driver_.free(memory_);
  if (stream_ != nullptr) (void)driver_.destroy_stream(stream_);
  gpu::ContextHandle ignored = nullptr;
  if (entered_) (void)driver_.pop_context(&ignored);
}

Result<std::size_t> PerfDevice::memory_left() const {
  std::size_t left = 0, all = 0;
  if (auto s = gpu::check(driver_, driver_.memory_left(&left, &all), "cuMemGetInfo"); !s) return std::move(s.error());
  return left;
}

Status PerfDevice::reserve(std::uint64_t bytes) {
  return gpu::check(driver_, driver_.allocate(&memory_, std::max<std::uint64_t>(bytes, 1)),
                    fmt::format("{} bytes of memory of device {} ({})", bytes, number_, name_));
}

Status PerfDevice::copy(std::byte* to, const std::byte* from, std::uint64_t bytes) {
  if (bytes == 0) return {};
  if (auto s = gpu::check(driver_, driver_.copy(gpu::address(to), gpu::address(from), bytes, stream_), "cuMemcpyAsync"); !s)
    return s;
  return wait();
}

Status PerfDevice::wait() { return gpu::check(driver_, driver_.synchronize(stream_), "cuStreamSynchronize"); }

Result<PerfGraph> PerfDevice::capture(const std::function<Status()>& enqueue) {
  const gpu::Driver& d = driver_;
  if (auto s = gpu::check(d, d.begin_capture(stream_, gpu::CaptureMode::thread_local_), "cuStreamBeginCapture"); !s)
    return std::move(s.error());
  auto enqueued = enqueue();
  PerfGraph graph(*this);
  auto ended = gpu::check(d, d.end_capture(stream_, &graph.graph_), "cuStreamEndCapture");
  if (!enqueued) return std::move(enqueued.error());
  if (!ended) return std::move(ended.error());
  if (auto s = gpu::check(d, d.instantiate(&graph.ready_, graph.graph_, 0), "cuGraphInstantiate"); !s)
    return std::move(s.error());
  return graph;
}

PerfGraph::~PerfGraph() {
  const gpu::Driver& d = device_.driver_;
  if (ready_ != nullptr) (void)d.destroy_ready(ready_);
  if (graph_ != nullptr) (void)d.destroy_graph(graph_);
}

Status PerfGraph::launch() {
  const gpu::Driver& d = device_.driver_;
  return gpu::check(d, d.launch_graph(ready_, device_.stream_), "cuGraphLaunch");
}

Result<std::vector<RankDevice>> devices_of_ranks(Communicator& comm, const PerfDevice& mine) {
  struct Told {
    std::uint64_t id;
    std::int32_t number;
    std::array<char, 100> name;
  };
  Told told{.id = mine.id(), .number = mine.number(), .name = {}};
  mine.name().copy(told.name.data(), told.name.size() - 1);
  std::vector<Told> all(static_cast<std::size_t>(comm.size()));
  if (auto s = comm.all_gather(std::as_bytes(std::span(&told, 1)), std::as_writable_bytes(std::span(all))); !s)
    return std::move(s.error());
  std::vector<RankDevice> devices;
  for (const Told& t : all) devices.push_back({t.number, t.name.data(), t.id});
  return devices;
}

}  // namespace tutti
