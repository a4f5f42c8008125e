#include "gpu/kernel_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace tutti::gpu {
namespace {

using device::Protocol;

constexpr std::uint64_t kSmallestHalf = std::uint64_t{4} << 10;  // mailboxes have few sizes, so that many calls share them
constexpr std::uint64_t kSmallestPiece = std::uint64_t{1} << 10;
constexpr std::uint64_t kMostSharedBytes = std::uint64_t{48} << 10;  // that a kernel may have without asking

struct Limits {
  std::uint64_t piece_bytes;  // of one block
  std::uint64_t bytes;        // of a rank's mailboxes and scratch
};
constexpr Limits limits_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::simple:
      return {std::uint64_t{1} << 20, std::uint64_t{16} << 20};
    case Protocol::ll128:
      return {std::uint64_t{256} << 10, std::uint64_t{8} << 20};
    case Protocol::ll:
      break;
  }
  return {std::uint64_t{64} << 10, std::uint64_t{2} << 20};
}

// What any rank needs at most.
struct Needs {
  std::uint64_t half_bytes = kSmallestHalf, lanes = 0, scratch_bytes = 0, shared_bytes = 0;
  void add(const KernelCall& call) {
    half_bytes = std::max(half_bytes, std::bit_ceil(call.half_bytes));
    lanes = std::max<std::uint64_t>(lanes, call.lanes.size());
    scratch_bytes = std::max(scratch_bytes, call.scratch_bytes);
    shared_bytes = std::max(shared_bytes, call.shared_bytes());
  }
  [[nodiscard]] std::uint64_t bytes(unsigned blocks) const { return blocks * (2 * half_bytes * lanes + scratch_bytes); }
};

Result<Needs> needs_of(const CollectiveCall& call, const Cut& cut, Protocol protocol) {
  Needs needs;
  for (Rank r = 0; r < call.ranks; ++r) {
    auto one = kernel_call(call, call.build(r), cut, protocol);
    if (!one) return std::move(one.error());
    needs.add(*one);
  }
  return needs;
}

template <class T>
T* pointer_to(Address at) {
  return reinterpret_cast<T*>(at);
}

// Arrays that are brought to the device together.
class Blob {
 public:
  template <class T>
  std::uint64_t add(const std::vector<T>& array) {
    constexpr std::size_t kUnit = 16;
    const std::size_t at = (bytes_.size() + kUnit - 1) / kUnit * kUnit;
    bytes_.resize(at + std::max<std::size_t>(array.size() * sizeof(T), 1));
    if (!array.empty()) std::memcpy(bytes_.data() + at, array.data(), array.size() * sizeof(T));
    return at;
  }
  [[nodiscard]] ConstBytes bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A thread for each word of a block of the piece.
unsigned threads_for(std::uint64_t bytes) {
  constexpr std::uint64_t kWarp = 32, kMostThreads = 512;
  const std::uint64_t words = (bytes + device::kWordBytes - 1) / device::kWordBytes;
  return static_cast<unsigned>(std::clamp((words + kWarp - 1) / kWarp * kWarp, kWarp, kMostThreads));
}

}  // namespace

Result<KernelLayout> kernel_layout(const CollectiveCall& call, Protocol protocol, unsigned channels) {
  const Limits limits = limits_of(protocol);
  const std::uint64_t blocks =
      std::max(input_chunks(call.collective, call.ranks, 1), output_chunks(call.collective, call.ranks, 1));
  const std::uint64_t unit = std::max<std::uint64_t>(1, 64 / call.element_bytes());
  const std::uint64_t share = (call.count + channels - 1) / channels;
  const std::uint64_t even = (share + unit - 1) / unit * unit * call.element_bytes() * blocks;
  for (std::uint64_t bytes = std::min({even, limits.piece_bytes, call.most_bytes});; bytes /= 2) {
    const Cut found = cut(call.collective, call.count, call.ranks, call.element_bytes(), bytes);
    const auto used = static_cast<unsigned>(std::clamp<std::uint64_t>(found.pieces, 1, channels));
    auto needs = needs_of(call, found, protocol);
    if (!needs) return std::move(needs.error());
    if (needs->shared_bytes > kMostSharedBytes)
      return Error(Code::unsupported, fmt::format("the kernel would need {} bytes of shared memory, and {} at most are possible",
                                                  needs->shared_bytes, kMostSharedBytes));
    if (needs->bytes(used) <= limits.bytes || bytes <= kSmallestPiece)
      return KernelLayout{.cut = found, .blocks = used, .half_bytes = needs->half_bytes};
  }
}

KernelExecutor::KernelExecutor(std::shared_ptr<Station> station, PinnedMemory control)
    : station_(std::move(station)), control_(std::move(control)) {
  new (control_.data()) device::Control;
}

Result<std::unique_ptr<KernelExecutor>> KernelExecutor::make(std::shared_ptr<Station> station) {
  const Entered entered(station->driver(), station->context());
  const Uncaptured uncaptured(station->driver());
  auto control = PinnedMemory::make(station->driver(), sizeof(device::Control));
  const Status mine = control ? Status{} : Status(control.error().clone());
  if (auto s = station->lanes().agree(mine); !s) return std::move(s.error());
  return std::unique_ptr<KernelExecutor>(new KernelExecutor(std::move(station), std::move(*control)));
}

// A set of lanes for each block.
Result<std::vector<device::Lane>> KernelExecutor::open(const KernelCall& call, const KernelLayout& layout) {
  std::vector<MailboxNeed> needs;
  for (unsigned b = 0; b < layout.blocks; ++b)
    for (const PlanLink& link : call.lanes)
      needs.push_back({link.peer, link.channel, static_cast<std::uint16_t>(b), call.protocol, layout.half_bytes});
  if (auto s = station_->lanes().open(needs); !s) return std::move(s.error());
  std::vector<device::Lane> lanes;
  for (const MailboxNeed& need : needs) {
    const MailboxEnds ends = station_->lanes().mailbox(need);
    lanes.push_back(
        {pointer_to<device::Mailbox>(ends.own), pointer_to<device::Mailbox>(ends.peers), static_cast<std::uint32_t>(need.peer)});
  }
  return lanes;
}

Result<Address> KernelExecutor::upload(const KernelCall& call, const std::vector<device::Lane>& lanes,
                                       device::InterpretArguments& arguments) {
  Blob blob;
  const auto add = [&](const OpList& list) {
    return std::array<std::uint64_t, 3>{blob.add(list.ops), blob.add(list.operands), blob.add(list.lane_use)};
  };
  const auto piece = add(call.piece), last = add(call.last);
  const std::uint64_t table = blob.add(lanes);
  auto at = station_->lanes().put(blob.bytes());
  if (!at) return at.because("the operations of a call");
  const auto point = [&](device::Program& program, const std::array<std::uint64_t, 3>& offsets) {
    program.ops = pointer_to<const device::Op>(*at + offsets[0]);
    program.operands = pointer_to<const device::Place>(*at + offsets[1]);
    program.lane_use = pointer_to<const std::uint8_t>(*at + offsets[2]);
  };
  point(arguments.piece, piece);
  point(arguments.last, last);
  arguments.lanes = pointer_to<const device::Lane>(*at + table);
  return at;
}

Result<std::shared_ptr<const PreparedKernel>> KernelExecutor::prepare(const CollectiveCall& call, const Schedule& mine,
                                                                      Protocol protocol, unsigned channels) {
  if (aborted_) return Error(Code::aborted, "this communicator was aborted");
  auto layout = kernel_layout(call, protocol, channels);
  if (!layout) return std::move(layout.error());
  auto kernel = kernel_call(call, mine, layout->cut, protocol);
  if (!kernel) return std::move(kernel.error());
  auto prepared = std::make_shared<PreparedKernel>();
  prepared->idle_ = layout->cut.pieces == 0;
  if (prepared->idle_) return std::shared_ptr<const PreparedKernel>(std::move(prepared));
  auto lanes = open(*kernel, *layout);
  if (!lanes) return std::move(lanes.error());
  device::InterpretArguments& a = prepared->arguments_;
  a = arguments_of(*kernel);
  a.half_bytes = layout->half_bytes;
  a.signature = call.signature;
  a.control = pointer_to<device::Control>(control_.on_device());
  if (auto at = upload(*kernel, *lanes, a); !at) return std::move(at.error());
  prepared->blocks_ = layout->blocks;
  prepared->threads_ = threads_for(layout->cut.per_piece * call.element_bytes());
  prepared->shared_bytes_ = static_cast<unsigned>(kernel->shared_bytes());
  if (auto s = station_->reserve(layout->blocks * kernel->scratch_bytes); !s) return std::move(s.error());
  return std::shared_ptr<const PreparedKernel>(std::move(prepared));
}

Status KernelExecutor::enqueue(const PreparedKernel& call, const DeviceBuffers& buffers, const Factor& factor,
                               StreamHandle stream) {
  if (aborted_) return Error(Code::aborted, "this communicator was aborted");
  if (call.idle_) return {};
  const Entered entered(driver(), station_->context());
  device::InterpretArguments a = call.arguments_;
  a.input = pointer_to<const std::byte>(buffers.input);
  a.output = pointer_to<std::byte>(buffers.output);
  a.scratch = pointer_to<std::byte>(station_->scratch());
  a.scalar = pointer_to<const std::byte>(factor.on_device);
  a.factor = factor.value;
  void* list[] = {&a};
  return check(driver(),
               driver().launch(station_->kernels().interpret, call.blocks_, 1, 1, call.threads_, 1, 1, call.shared_bytes_, stream,
                               list, nullptr),
               "tutti_interpret");
}

void KernelExecutor::abort() noexcept {
  aborted_ = true;
  std::atomic_ref(control().abort).store(1);
}

Rank KernelExecutor::waited_for() const noexcept { return static_cast<Rank>(std::atomic_ref(control().stopped).load()) - 1; }

}  // namespace tutti::gpu
