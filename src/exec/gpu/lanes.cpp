#include "gpu/lanes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <random>

namespace tutti::gpu {
namespace {

constexpr std::uint64_t kLine = 128;       // flags of different sides share no line
constexpr std::uint64_t kWordsOfLine = 3;  // that are waited for: a flag, and the signature beside it
constexpr std::uint64_t kFlagBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kRegionBytes = std::uint64_t{2} << 20;  // what the driver allocates is a multiple of this
constexpr std::uint32_t kGoOn = 0x7fffffff;                     // not less than what any wait waits for

// Different in all processes, forked ones and those of other namespaces, too.
struct ProcessId {
  std::array<std::uint32_t, 4> random = {};
  pid_t pid = 0;
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};
ProcessId this_process() {
  static const auto random = [] {
    std::random_device device;
    return std::array<std::uint32_t, 4>{device(), device(), device(), device()};
  }();
  return {random, getpid()};
}

// Between threads of one process letters hand over objects and memory. What carries them may be memory that is mapped twice, and
// orders nothing between threads as far as C++ is concerned; a lock that both sides take does.
void pass_through_process() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
}

std::array<Address, 2> lines_at(Address first) { return {first, first + kLine}; }

}  // namespace

// Between ranks of one library on one host.
struct Lanes::Letter {
  enum class Kind : std::uint8_t { introduction, flags, verdict, inbox, credit, mailbox } kind = Kind::introduction;
  bool good = true;  // introduction, flags, verdict; else `reason`
  std::uint16_t channel = 0;
  std::uint16_t block = 0;                               // mailbox
  device::Protocol protocol = device::Protocol::simple;  // mailbox
  int device = 0;                                        // introduction
  ContextHandle context = nullptr;                       // introduction: for peers of this process
  ProcessId process = {};                                // introduction
  std::uint64_t inbox_bytes = 0;                         // inbox, mailbox: of a half
  std::uint64_t offset = 0;                              // inbox, mailbox: in the memory
  std::uint64_t flags = 0;                               // inbox, credit: in the memory of flags
  Address memory = 0;                                    // flags, inbox, mailbox
  IpcMemory handle = {};
  std::shared_ptr<const DeviceMemory>* owner = nullptr;  // of the memory, to a peer of this process, which takes it
  char reason[512] = {};

  void refuse(const Error& error) {
    const std::string text = error.to_string();
    good = false;
    std::memcpy(reason, text.data(), std::min(text.size(), sizeof reason - 1));
  }
};

Result<std::shared_ptr<const DeviceMemory>> DeviceMemory::make(const Driver& driver, ContextHandle context, std::uint64_t bytes) {
  const Entered entered(driver, context);
  const Uncaptured uncaptured(driver);
  Address at = 0;
  if (auto s = check(driver, driver.allocate(&at, bytes), fmt::format("{} bytes of device memory (cuMemAlloc)", bytes)); !s)
    return std::move(s.error());
  return std::shared_ptr<const DeviceMemory>(new DeviceMemory(driver, context, at, bytes));
}

DeviceMemory::~DeviceMemory() {
  const Entered entered(driver_, context_);
  const Uncaptured uncaptured(driver_);
  (void)driver_.free(at_);
}

Result<std::unique_ptr<Lanes>> Lanes::make(const Setup& setup, Status problem) {
  std::unique_ptr<Lanes> lanes(new Lanes(setup));
  const Entered entered(*setup.driver, setup.context);
  const Uncaptured uncaptured(*setup.driver);
  if (problem) problem = lanes->begin();
  if (auto s = lanes->introduce(std::move(problem)); !s) return std::move(s.error());
  return lanes;
}

Lanes::~Lanes() {
  const Entered entered(driver(), setup_.context);
  const Uncaptured uncaptured(driver());
  for (const Peer& p : peers_)
    for (const auto& [theirs, mapped] : p.memory)
      if (mapped.by_ipc) (void)driver().ipc_close(mapped.at);
  if (stream_ != nullptr) (void)driver().destroy_stream(stream_);
}

// Flags, all zero, and the stream. And a first region, before anybody waits: where ranks are threads that share a device, who
// takes memory of it waits for the others' streams.
Status Lanes::begin() {
  auto flags = DeviceMemory::make(driver(), setup_.context, kFlagBytes);
  if (!flags) return std::move(flags.error());
  flags_ = std::move(*flags);
  if (auto s = check(driver(), driver().make_stream(&stream_, kNonBlocking), "cuStreamCreate"); !s) return s;
  if (auto s = check(driver(), driver().set_words(flags_->at(), 0, kFlagBytes / 4, stream_), "cuMemsetD32Async"); !s) return s;
  if (auto s = check(driver(), driver().synchronize(stream_), "cuStreamSynchronize"); !s) return s;
  auto region = DeviceMemory::make(driver(), setup_.context, kRegionBytes);
  if (!region) return std::move(region.error());
  regions_.push_back({std::move(*region)});
  int device = 0, can = 0;
  if (driver().context_device(&device) == 0 &&
      driver().device_attribute(&can, DeviceAttribute::can_flush_remote_writes, device) == 0 && can != 0)
    wait_flags_ |= kWaitFlush;
  return {};
}

// A letter to every other rank, then one from each.
template <class Write, class Read>
Status Lanes::exchange(Write&& write, Read&& read) {
  for (Rank r = 0; r < setup_.ranks; ++r)
    if (r != setup_.rank)
      if (auto s = tell(r, write(r)); !s) return s;
  for (Rank r = 0; r < setup_.ranks; ++r) {
    if (r == setup_.rank) continue;
    auto heard = hear(r);
    if (!heard) return std::move(heard.error());
    read(r, *heard);
  }
  return {};
}

// Who is who, and where the flags are. `mine`: what is wrong here.
Status Lanes::introduce(Status mine) {
  Letter introduction{.kind = Letter::Kind::introduction, .context = setup_.context, .process = this_process()};
  (void)driver().context_device(&introduction.device);
  const auto fails = [&](Status s) {
    if (!s && mine) mine = std::move(s);
  };
  const auto get_to_know = [&](Rank r, const Letter& letter) {
    peer(r).same_process = letter.process == introduction.process;
    if (peer(r).same_process && mine) fails(reach(letter));
  };
  if (auto s = exchange([&](Rank) { return introduction; }, get_to_know); !s) return s;

  const auto give_flags = [&](Rank r) {
    Letter letter{.kind = Letter::Kind::flags};
    if (mine) fails(share(r, letter, flags_));
    if (!mine) letter.refuse(mine.error());
    return letter;
  };
  const auto map_flags = [&](Rank r, const Letter& letter) {
    if (letter.memory == 0 || (!letter.good && letter.owner == nullptr)) return;  // its verdict will say why
    auto flags = map(r, letter);
    if (flags)
      peer(r).flags = *flags;
    else
      fails(flags.because(fmt::format("mapping device memory of rank {}", r)));
  };
  if (auto s = exchange(give_flags, map_flags); !s) return s;

  return agree(mine);
}

Status Lanes::agree(const Status& mine) {
  const auto say = [&](Rank) {
    Letter letter{.kind = Letter::Kind::verdict};
    if (!mine) letter.refuse(mine.error());
    return letter;
  };
  std::string reason = mine ? "" : fmt::format("rank {}: {}", setup_.rank, mine.error().to_string());
  const auto hear_out = [&](Rank r, const Letter& letter) {
    if (!letter.good && reason.empty()) reason = fmt::format("rank {}: {}", r, letter.reason);
  };
  if (auto s = exchange(say, hear_out); !s) return s;
  if (reason.empty()) return {};
  return Error(Code::unsupported, "the ranks' devices cannot reach each other's memory: " + reason);
}

// Whether memory of a context of this process can be used in this one.
Status Lanes::reach(const Letter& introduction) const {
  if (introduction.context == setup_.context || introduction.context == nullptr) return {};
  int device = 0, can = 1;
  if (auto s = check(driver(), driver().context_device(&device), "cuCtxGetDevice"); !s) return s;
  if (device != introduction.device)
    if (auto s = check(driver(), driver().can_access_peer(&can, device, introduction.device), "cuDeviceCanAccessPeer"); !s)
      return s;
  if (can == 0) return Error(Code::unsupported, fmt::format("device {} cannot access device {}", device, introduction.device));
  const int enabled = driver().enable_peer_access(introduction.context, 0);
  return enabled == kPeerAccessAlreadyEnabled ? Status{} : check(driver(), enabled, "cuCtxEnablePeerAccess");
}

Status Lanes::share(Rank r, Letter& letter, const std::shared_ptr<const DeviceMemory>& memory) {
  if (peer(r).same_process)
    letter.owner = new std::shared_ptr<const DeviceMemory>(memory);
  else if (auto s = check(driver(), driver().ipc_handle(&letter.handle, memory->at()),
                          "sharing device memory with another process (cuIpcGetMemHandle)");
           !s)
    return s;
  letter.memory = memory->at();
  return {};
}

// Each piece of memory once, for as long as this lives.
Result<Address> Lanes::map(Rank r, const Letter& letter) {
  std::unique_ptr<std::shared_ptr<const DeviceMemory>> owner(peer(r).same_process ? letter.owner : nullptr);
  if (const auto known = peer(r).memory.find(letter.memory); known != peer(r).memory.end()) return known->second.at;
  Mapped mapped;
  mapped.at = letter.memory;
  if (owner) {
    mapped.owner = std::move(*owner);
  } else {
    if (auto s = check(driver(), driver().ipc_open(&mapped.at, letter.handle, kLazyPeerAccess),
                       "mapping device memory of another process (cuIpcOpenMemHandle)");
        !s)
      return std::move(s.error());
    mapped.by_ipc = true;
  }
  const Address at = mapped.at;
  peer(r).memory.emplace(letter.memory, std::move(mapped));
  return at;
}

Status Lanes::tell(Rank r, const Letter& letter) {
  if (peer(r).same_process) pass_through_process();
  auto s = setup_.courier->tell(r, {reinterpret_cast<const std::byte*>(&letter), sizeof letter});
  if (!s) return s.because(fmt::format("telling rank {} about device memory", r));
  return {};
}

Result<Lanes::Letter> Lanes::hear(Rank r) {
  auto bytes = setup_.courier->hear(r);
  if (!bytes) return bytes.because(fmt::format("hearing about device memory of rank {}", r));
  if (peer(r).same_process) pass_through_process();
  Letter letter;
  if (bytes->size() != sizeof letter)
    return Error(Code::protocol,
                 fmt::format("rank {} sent {} bytes about its device memory, not {}", r, bytes->size(), sizeof letter), r);
  std::memcpy(static_cast<void*>(&letter), bytes->data(), sizeof letter);
  letter.reason[sizeof letter.reason - 1] = 0;
  return letter;
}

// The next letter of a peer, whichever lane it is about.
Status Lanes::take(Rank r) {
  auto letter = hear(r);
  if (!letter) return std::move(letter.error());
  const std::pair key{r, letter->channel};
  if (letter->kind == Letter::Kind::mailbox) {
    auto memory = map(r, *letter);
    if (!memory) return memory.because(fmt::format("mapping a mailbox of rank {}", r));
    mailboxes_[{r, letter->channel, letter->block, letter->protocol, letter->inbox_bytes}].peers = *memory + letter->offset;
    return {};
  }
  const bool sane = letter->flags % kLine == 0 && letter->flags + 2 * kLine <= kFlagBytes;
  if (sane && letter->kind == Letter::Kind::credit) {
    incoming_[key].credit = lines_at(peer(r).flags + letter->flags);
    return {};
  }
  if (!sane || letter->kind != Letter::Kind::inbox || letter->inbox_bytes == 0)
    return Error(Code::protocol, fmt::format("rank {} sent what is neither an inbox nor a credit", r), r);
  auto memory = map(r, *letter);
  if (!memory) return memory.because(fmt::format("mapping an inbox of rank {}", r));
  LaneEnd& end = outgoing_[key];
  end.ready = lines_at(peer(r).flags + letter->flags);
  const Address inbox = *memory + letter->offset;
  end.inboxes[letter->inbox_bytes] = {inbox, inbox + letter->inbox_bytes};
  return {};
}

// Two of them, zero; where in the memory of flags.
Result<std::uint64_t> Lanes::new_flags() {
  const std::uint64_t at = flags_used_;
  if (at + 2 * kLine > kFlagBytes)
    return Error(Code::resource, fmt::format("more than {} lanes between this device and others", kFlagBytes / kLine / 2));
  flags_used_ = at + 2 * kLine;
  return at;
}

// The last region has room for so much then, and has it taken; where in it.
Result<std::uint64_t> Lanes::room_for(std::uint64_t bytes) {
  constexpr std::uint64_t kUnit = 256;
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  if (regions_.empty() || regions_.back().used + bytes > regions_.back().memory->bytes()) {
    auto memory = DeviceMemory::make(driver(), setup_.context, (bytes + kRegionBytes - 1) / kRegionBytes * kRegionBytes);
    if (!memory) return std::move(memory.error());
    regions_.push_back({std::move(*memory)});
  }
  return std::exchange(regions_.back().used, regions_.back().used + bytes);
}

// Memory that a letter tells of.
Result<Address> Lanes::offer(Rank r, std::uint64_t bytes, Letter& letter) {
  auto offset = room_for(bytes);
  if (!offset) return std::move(offset.error());
  const auto& memory = regions_.back().memory;
  letter.offset = *offset;
  if (auto s = share(r, letter, memory); !s) return std::move(s.error());
  return memory->at() + *offset;
}

Result<Address> Lanes::put(ConstBytes bytes) {
  const Entered entered(driver(), setup_.context);
  const Uncaptured uncaptured(driver());
  auto offset = room_for(bytes.size());
  if (!offset) return std::move(offset.error());
  const Address at = regions_.back().memory->at() + *offset;
  if (auto s = check(driver(), driver().copy(at, address(bytes.data()), bytes.size(), stream_), "cuMemcpyAsync"); !s)
    return std::move(s.error());
  if (auto s = check(driver(), driver().synchronize(stream_), "cuStreamSynchronize"); !s) return std::move(s.error());
  return at;
}

Status Lanes::offer_inbox(const LaneNeed& need, LaneEnd& end) {
  if (end.inboxes.contains(need.inbox_bytes)) return {};
  if (end.ready.front() == 0) {
    auto flags = new_flags();
    if (!flags) return std::move(flags.error());
    end.ready = lines_at(flags_->at() + *flags);
  }
  Letter letter{.kind = Letter::Kind::inbox,
                .channel = need.channel,
                .inbox_bytes = need.inbox_bytes,
                .flags = end.ready.front() - flags_->at()};
  auto inbox = offer(need.peer, 2 * need.inbox_bytes, letter);
  if (!inbox) return std::move(inbox.error());
  end.inboxes[need.inbox_bytes] = {*inbox, *inbox + need.inbox_bytes};
  return tell(need.peer, letter);
}

Status Lanes::offer_credit(const LaneNeed& need, LaneEnd& end) {
  if (end.credit.front() != 0) return {};
  auto flags = new_flags();
  if (!flags) return std::move(flags.error());
  end.credit = lines_at(flags_->at() + *flags);
  end.half = 1;  // so that the first one is used first
  for (const Address word : end.credit)
    if (auto s = check(driver(), driver().write_value(stream_, word, 1, 0), "cuStreamWriteValue32"); !s) return s;
  if (auto s = check(driver(), driver().synchronize(stream_), "cuStreamSynchronize"); !s) return s;
  return tell(need.peer, {.kind = Letter::Kind::credit, .channel = need.channel, .flags = *flags});
}

Status Lanes::open(std::span<const LaneNeed> needs) {
  const Entered entered(driver(), setup_.context);
  const Uncaptured uncaptured(driver());
  for (const LaneNeed& need : needs)
    if (auto s = need.outgoing ? offer_credit(need, end(need)) : offer_inbox(need, end(need)); !s) return s;
  for (const LaneNeed& need : needs) {
    const LaneEnd& lane = end(need);
    while (need.outgoing ? !lane.inboxes.contains(need.inbox_bytes) : lane.credit.front() == 0)
      if (auto s = take(need.peer); !s) return s;
  }
  return {};
}

// A peer may write into a mailbox as soon as it hears of it.
Status Lanes::open(std::span<const MailboxNeed> needs) {
  const Entered entered(driver(), setup_.context);
  const Uncaptured uncaptured(driver());
  std::vector<std::pair<Rank, Letter>> letters;
  for (const MailboxNeed& need : needs) {
    MailboxEnds& ends = mailboxes_[need];
    if (ends.own != 0) continue;
    Letter letter{.kind = Letter::Kind::mailbox,
                  .channel = need.channel,
                  .block = need.block,
                  .protocol = need.protocol,
                  .inbox_bytes = need.half_bytes};
    const std::uint64_t bytes = device::mailbox_bytes(need.half_bytes);
    auto own = offer(need.peer, bytes, letter);
    if (!own) return std::move(own.error());
    ends.own = *own;
    letters.emplace_back(need.peer, letter);
    if (auto s = check(driver(), driver().set_words(*own, 0, bytes / 4, stream_), "cuMemsetD32Async"); !s) return s;
  }
  if (auto s = check(driver(), driver().synchronize(stream_), "cuStreamSynchronize"); !s) return s;
  for (const auto& [peer, letter] : letters)
    if (auto s = tell(peer, letter); !s) return s;
  for (const MailboxNeed& need : needs)
    while (mailboxes_[need].peers == 0)
      if (auto s = take(need.peer); !s) return s;
  return {};
}

// Peers have taken all that was sent to them when both halves of each lane are free, and when they have received as many pieces
// by mailbox as were sent.
Status Lanes::settle(StreamHandle stream) {
  const Entered entered(driver(), setup_.context);
  std::vector<MemoryOperation> waits;
  const auto wait = [&](Address word, std::uint32_t value) {
    waits.push_back({.kind = MemoryOperation::Kind::wait, .word = word, .value = value, .flags = wait_flags_});
  };
  for (const auto& [peer, end] : outgoing_)
    for (const Address credit : end.credit) wait(credit, 1);
  for (const auto& [need, ends] : mailboxes_) {
    device::LaneState state;
    const Address at = ends.own + offsetof(device::Mailbox, state);
    if (auto s = check(driver(), driver().copy(address(&state), at, sizeof state, stream), "cuMemcpyAsync"); !s) return s;
    if (auto s = check(driver(), driver().synchronize(stream), "cuStreamSynchronize"); !s) return s;
    wait(ends.own + offsetof(device::Mailbox, credit), static_cast<std::uint32_t>(state.sent));
  }
  {
    const std::lock_guard lock(settling_mutex_);
    settling_ = waits;
  }
  return submit(driver(), stream, waits);
}

Status Lanes::free_waiters() {
  const Entered entered(driver(), setup_.context);
  const Uncaptured uncaptured(driver());
  std::vector<MemoryOperation> writes;
  const auto write = [&](Address word, std::uint64_t value) {
    writes.push_back({.kind = MemoryOperation::Kind::write, .word = word, .value = value});
  };
  for (Address at = flags_->at(); at < flags_->at() + flags_used_; at += kLine)
    for (std::uint64_t word = 0; word < kWordsOfLine; ++word) write(at + word * sizeof(std::uint32_t), kGoOn);
  {
    const std::lock_guard lock(settling_mutex_);
    for (const MemoryOperation& wait : settling_) write(wait.word, wait.value);
  }
  if (auto s = submit(driver(), stream_, writes); !s) return s;
  return check(driver(), driver().synchronize(stream_), "cuStreamSynchronize");
}

std::uint64_t Lanes::memory_bytes() const noexcept {
  std::uint64_t sum = flags_ ? flags_->bytes() : 0;
  for (const Region& r : regions_) sum += r.memory->bytes();
  return sum;
}

}  // namespace tutti::gpu
