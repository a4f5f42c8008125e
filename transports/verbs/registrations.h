// Memory that devices may read and write: registered for one message, or kept so.
//
// A registration names pages, not addresses. Where a program unmaps memory and maps other memory at the same address, one that is
// still kept for that address moves bytes of pages that nobody sees any more. Libraries that keep registrations of any memory
// therefore intercept munmap, madvise and brk in the whole process, and miss what they do not intercept. Here only that memory
// stays registered whose end is known: what tutti::allocate() has handed out, each allocation with a number that is never used
// again, and what a caller of Endpoint::register_memory() answers for. Other memory is registered for the message that it holds
// and let go of after it.
//
// What that costs is mostly holding its pages. Measured with buffers registered by io_uring, which holds them in the same way
// (Xeon, Emerald Rapids): 2.2 us for 64 KiB, 5.7 us for 256 KiB, 20 us for 1 MiB, 380 us for 16 MiB; a copy, in caches,
// takes 1.1, 4.7, 22 and 1300 us. A device adds some microseconds. So such memory is registered for messages from 256 KiB on
// (Tuning::place_from).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <vector>

#include "transports/verbs/device.h"

namespace tutti::verbs {

// Who knows how long memory lives.
class Lifetimes {
 public:
  virtual ~Lifetimes() = default;
  // The number of the allocation that all these bytes lie in; never that of another one. Nothing where it is not known.
  [[nodiscard]] virtual std::optional<std::uint64_t> find(ConstBytes memory) const = 0;
  // Takes out of `numbers` those whose memory has been freed.
  virtual void keep_existing(std::unordered_set<std::uint64_t>& numbers) const = 0;
};

struct RegistrationLimits {
  std::size_t entries = 1024;
  std::size_t bytes = std::size_t{1} << 30;
};

// Thread safe.
class Registrations : public std::enable_shared_from_this<Registrations> {
 private:
  struct Entry;

 public:
  enum class For : std::uint8_t { reading, writing };  // what devices do to it; reading is possible where writing is forbidden

  // Memory is registered as long as this exists.
  class Use {
   public:
    Use() = default;
    Use(Use&& other) noexcept : owner_(std::move(other.owner_)), entry_(std::move(other.entry_)), keeps_(other.keeps_) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(entry_, other.entry_);
      std::swap(keeps_, other.keeps_);
      return *this;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (entry_) owner_->release(entry_, keeps_);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return entry_ != nullptr; }
    // The keys for the device at this place among the devices.
    [[nodiscard]] std::uint32_t local_key(std::size_t device) const noexcept;
    [[nodiscard]] std::uint32_t remote_key(std::size_t device) const noexcept;

   private:
    friend class Registrations;
    Use(std::shared_ptr<Registrations> owner, std::shared_ptr<Entry> entry, bool keeps)
        : owner_(std::move(owner)), entry_(std::move(entry)), keeps_(keeps) {}
    std::shared_ptr<Registrations> owner_;
    std::shared_ptr<Entry> entry_;
    bool keeps_ = false;  // others find the memory registered because of it
  };

  Registrations(std::vector<std::shared_ptr<Device>> devices, const Lifetimes& lifetimes, const RegistrationLimits& limits = {})
      : devices_(std::move(devices)), lifetimes_(lifetimes), limits_(limits) {}
  ~Registrations();
  Registrations(const Registrations&) = delete;
  Registrations& operator=(const Registrations&) = delete;

  // Registers with all devices, or finds it registered.
  Result<Use> use(Bytes memory, For purpose);
  // The same for memory that the caller answers for: others find it as long as this use lasts.
  Result<Use> keep(Bytes memory);
  // Whether it is, or could be kept, registered.
  [[nodiscard]] bool cheap(ConstBytes memory) const;

  [[nodiscard]] std::size_t entries() const;  // that are kept

 private:
  struct Entry {
    Bytes memory;
    std::optional<std::uint64_t> lifetime;  // nothing: the caller's, or that of its use
    bool writable = true;
    bool answered_for = false;  // by a caller of keep()
    int uses = 0;
    std::uint64_t last_use = 0;
    std::vector<ibv_mr*> keys;  // by device
  };

  [[nodiscard]] std::shared_ptr<Entry> find(ConstBytes memory, std::optional<std::uint64_t> lifetime, For purpose) const;
  Result<std::shared_ptr<Entry>> make(Bytes memory, For purpose);
  Use started(std::shared_ptr<Entry> entry, bool keeps = false);
  void release(const std::shared_ptr<Entry>& entry, bool kept);
  void remove(std::size_t index);
  void remove_ended();
  void make_room(std::size_t bytes);
  void deregister(Entry& entry);

  std::vector<std::shared_ptr<Device>> devices_;
  const Lifetimes& lifetimes_;
  RegistrationLimits limits_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::shared_ptr<Entry>> kept_;
  std::size_t kept_bytes_ = 0;
  std::uint64_t clock_ = 0;
};

}  // namespace tutti::verbs
