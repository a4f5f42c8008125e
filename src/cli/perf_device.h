// The GPU that a rank of `tutti perf` measures on: its memory, its stream and graphs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gpu/driver.h"
#include "tutti/communicator.h"

namespace tutti {

// --device.
struct DeviceChoice {
  bool cuda = false;          // else the host's memory
  std::optional<int> number;  // else each rank of a host takes the next of its devices
};
[[nodiscard]] Result<DeviceChoice> parse_device(std::string_view text);

inline constexpr std::uint64_t kDeviceAlignment = 256;  // of buffers on it

class PerfGraph;

class PerfDevice {
 public:
  // All ranks call it. Code::environment where there is no driver, Code::invalid_argument where there is no such device.
  static Result<std::unique_ptr<PerfDevice>> open(Communicator& comm, const DeviceChoice& choice);
  PerfDevice(const PerfDevice&) = delete;
  PerfDevice& operator=(const PerfDevice&) = delete;
  ~PerfDevice();

  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // The same number on all ranks that share it.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] Result<std::size_t> memory_left() const;

  // Once: the memory for all measurements.
  Status reserve(std::uint64_t bytes);
  [[nodiscard]] std::byte* memory() const noexcept { return reinterpret_cast<std::byte*>(memory_); }
  [[nodiscard]] CudaStream stream() const noexcept { return stream_; }
  // Done when it returns. Either side may be the host's.
  Status copy(std::byte* to, const std::byte* from, std::uint64_t bytes);
  // For all that the stream was given.
  Status wait();
  // What `enqueue` gives the stream, as a graph.
  Result<PerfGraph> capture(const std::function<Status()>& enqueue);

 private:
  friend class PerfGraph;
  PerfDevice(const gpu::Driver& driver, int number) : driver_(driver), number_(number) {}
  Status enter();

  const gpu::Driver& driver_;
  const int number_;
  std::string name_;
  std::uint64_t id_ = 0;
  bool entered_ = false;
  gpu::StreamHandle stream_ = nullptr;
  gpu::Address memory_ = 0;
};

class PerfGraph {
 public:
  PerfGraph(PerfGraph&& other) noexcept
      : device_(other.device_), graph_(std::exchange(other.graph_, nullptr)), ready_(std::exchange(other.ready_, nullptr)) {}
  PerfGraph& operator=(PerfGraph&&) = delete;
  ~PerfGraph();
  Status launch();

 private:
  friend class PerfDevice;
  explicit PerfGraph(PerfDevice& device) : device_(device) {}
  PerfDevice& device_;
  gpu::GraphHandle graph_ = nullptr;
  gpu::ReadyGraphHandle ready_ = nullptr;
};

// The devices of all ranks.
struct RankDevice {
  int number = -1;
  std::string name;
  std::uint64_t id = 0;
};
[[nodiscard]] Result<std::vector<RankDevice>> devices_of_ranks(Communicator& comm, const PerfDevice& mine);

}  // namespace tutti
