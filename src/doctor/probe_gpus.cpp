// Source: CUDA Programming Guide, "Interprocess Communication"; NVIDIA Multi-Process Service, "Environment Variables".
#include <fmt/format.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "device/image.h"
#include "doctor/gpus.h"
#include "doctor/helper.h"
#include "gpu/memory.h"

namespace tutti::doctor {
namespace {

using gpu::Driver;
using Json = nlohmann::json;

constexpr unsigned kSeconds = 40, kWord = 0x74757474;

// A stream and two words of memory of device 0.
class Bench {
 public:
  static Result<Bench> make(const Driver& d) {
    Bench bench(d);
    gpu::ContextHandle context = nullptr;
    if (auto s = gpu::check(d, d.retain_context(&context, 0), "cuDevicePrimaryCtxRetain"); !s) return std::move(s.error());
    if (auto s = gpu::check(d, d.push_context(context), "cuCtxPushCurrent"); !s) return std::move(s.error());
    if (auto s = gpu::check(d, d.make_stream(&bench.stream_, gpu::kNonBlocking), "cuStreamCreate"); !s)
      return std::move(s.error());
    if (auto s = gpu::check(d, d.allocate(&bench.memory_, 2 * sizeof kWord), "cuMemAlloc"); !s) return std::move(s.error());
    return bench;
  }
  [[nodiscard]] gpu::Address memory() const { return memory_; }

  Status set(unsigned value) {
    if (auto s = gpu::check(d_, d_.set_words(memory_, value, 2, stream_), "cuMemsetD32Async"); !s) return s;
    return wait();
  }
  Result<unsigned> read(gpu::Address from) {
    unsigned word = 0;
    if (auto s = gpu::check(d_, d_.copy(gpu::address(&word), from, sizeof word, stream_), "cuMemcpyAsync"); !s)
      return std::move(s.error());
    if (auto s = wait(); !s) return std::move(s.error());
    return word;
  }
  Status write_and_wait_for_value() {
    if (auto s = gpu::check(d_, d_.write_value(stream_, memory_, 1, 0), "cuStreamWriteValue32"); !s) return s;
    if (auto s = gpu::check(d_, d_.wait_value(stream_, memory_, 1, gpu::kWaitEqual), "cuStreamWaitValue32"); !s) return s;
    return wait();
  }

 private:
  explicit Bench(const Driver& d) : d_(d) {}
  Status wait() { return gpu::check(d_, d_.synchronize(stream_), "cuStreamSynchronize"); }
  const Driver& d_;
  gpu::StreamHandle stream_ = nullptr;  // goes with the process, as the memory does
  gpu::Address memory_ = 0;
};

std::string text_of(Status status) { return status ? "" : status.error().to_string(); }

// The second process: maps the memory of which it is told and reads it.
Status read_memory_of_another(int socket) {
  gpu::IpcMemory handle{};
  if (recv(socket, &handle, sizeof handle, MSG_WAITALL) != sizeof handle) return {};  // nobody asks
  const Driver* d = gpu::driver();
  if (d == nullptr) return gpu::why_no_driver().clone();
  auto bench = Bench::make(*d);
  if (!bench) return std::move(bench.error());
  gpu::Address mapped = 0;
  if (auto s = gpu::check(*d, d->ipc_open(&mapped, handle, gpu::kLazyPeerAccess), "cuIpcOpenMemHandle"); !s) return s;
  const auto word = bench->read(mapped);
  (void)d->ipc_close(mapped);
  if (!word) return word.error().clone();
  return *word == kWord ? Status{} : Error(Code::internal, "another process's memory does not show what was written there");
}

Status try_ipc(const Driver& d, Bench& bench, Helper& other) {
  if (auto s = bench.set(kWord); !s) return s;
  gpu::IpcMemory handle{};
  if (auto s = gpu::check(d, d.ipc_handle(&handle, bench.memory()), "cuIpcGetMemHandle"); !s) return s;
  if (!other.tell(&handle, sizeof handle)) return Error(Code::internal, "the other process has ended");
  auto answer = other.answer();
  if (!answer) return answer.because("the other process");
  return answer->empty() ? Status{} : Error(Code::environment, *answer);
}

Status list_devices(const Driver& d, Gpus& gpus) {
  if (auto s = gpu::check(d, d.version(&gpus.driver_version), "cuDriverGetVersion"); !s) return s;
  int devices = 0;
  if (auto s = gpu::check(d, d.device_count(&devices), "cuDeviceGetCount"); !s) return s;
  for (int i = 0; i < devices; ++i) {
    std::size_t bytes = 0;
    auto name = gpu::device_name(d, i);
    if (!name) return std::move(name.error());
    if (auto s = gpu::check(d, d.device_memory(&bytes, i), "cuDeviceTotalMem"); !s) return s;
    gpus.devices.push_back({std::move(*name), bytes});
  }
  return {};
}

Status load_code(const Driver& d) {
  gpu::ModuleHandle module = nullptr;
  return gpu::check(d, d.load_module(&module, device::image().data()), "cuModuleLoadData");
}

// Its control daemon listens in a folder.
bool mps_runs() {
  const char* folder = std::getenv("CUDA_MPS_PIPE_DIRECTORY");
  std::error_code none;
  return std::filesystem::exists(std::filesystem::path(folder != nullptr ? folder : "/tmp/nvidia-mps") / "control", none);
}

Gpus without(std::string why) { return {.none = std::move(why), .has_code = !device::image().empty()}; }

Gpus look(Result<Helper>& other) {
  Gpus gpus = without("");
  const Driver* d = gpu::driver();
  if (d == nullptr) return without(gpu::why_no_driver().to_string());
  if (auto s = list_devices(*d, gpus); !s) return without(s.error().to_string());
  auto bench = Bench::make(*d);
  if (!bench) return without(bench.because("device 0 cannot be used").to_string());
  gpus.no_stream = text_of(bench->write_and_wait_for_value());
  gpus.no_ipc = other ? text_of(try_ipc(*d, *bench, *other)) : other.error().to_string();
  if (gpus.has_code) gpus.no_code = text_of(load_code(*d));
  gpus.mps = mps_runs();
  return gpus;
}

}  // namespace

Gpus probe_gpus() {
  auto asked = Helper::start(
      [](int) {
        auto other = Helper::start([](int socket) { return text_of(read_memory_of_another(socket)); }, kSeconds / 2);
        return to_json(look(other));
      },
      kSeconds);
  if (!asked) return without(asked.error().to_string());
  auto answer = asked->answer();
  if (!answer) return without(answer.because("a process that looked for GPUs").to_string());
  auto gpus = gpus_from_json(*answer);
  return gpus ? *gpus : without(gpus.error().to_string());
}

std::string to_json(const Gpus& g) {
  Json devices = Json::array();
  for (const Gpu& each : g.devices) devices.push_back({{"name", each.name}, {"memory_bytes", each.memory_bytes}});
  const Json object{{"none", g.none},           {"driver_version", g.driver_version},
                    {"devices", devices},       {"no_ipc", g.no_ipc},
                    {"no_stream", g.no_stream}, {"has_code", g.has_code},
                    {"no_code", g.no_code},     {"mps", g.mps}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Gpus> gpus_from_json(std::string_view text) {
  try {
    const Json object = Json::parse(text);
    Gpus g{.none = object.at("none"),
           .driver_version = object.at("driver_version"),
           .devices = {},
           .no_ipc = object.at("no_ipc"),
           .no_stream = object.at("no_stream"),
           .has_code = object.at("has_code"),
           .no_code = object.at("no_code"),
           .mps = object.at("mps")};
    for (const Json& each : object.at("devices")) g.devices.push_back({each.at("name"), each.at("memory_bytes")});
    return g;
  } catch (const Json::exception& e) {
    return Error(Code::protocol, fmt::format("what is said about GPUs does not parse: {}", e.what()));
  }
}

}  // namespace tutti::doctor
