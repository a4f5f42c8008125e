// Page adoption: whole pages of the program's own private memory are replaced in place by pages of a memfd, with the same
// contents at the same addresses, so that peers can map them and large messages go straight from buffer to buffer.
//
// That happens within a call, which owns the buffers that it was given: nobody writes there meanwhile, and whoever reads sees the
// same bytes before and after. What was adopted stays so for later calls, each of which asks the kernel first whether the adopted
// pages still lie at those addresses: the program may have freed the memory, and have got other memory there.
//
// Private memory is more than bytes that nobody else sees. What would tell the difference is refused (memory that is locked, of
// files, of other sizes of pages, with a policy of its own, that devices hold on to), or undone in time: before fork() makes a
// copy of the process, they become private ones again. Pages that the program has emptied by madvise() are emptied (purges.h).
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "transports/shm/address_space.h"
#include "transports/shm/segments.h"
#include "tutti/memory.h"
#include "tutti/transport.h"

namespace tutti::shm {

struct AdoptionLimits {
  std::uint32_t uses = 64;                       // so often has a buffer to come until it is adopted
  std::uint64_t bytes = std::uint64_t{1} << 40;  // that may be adopted at a time
  // What the process may still take of its control group's memory, asked before each adoption, and what has to be left of it: who
  // takes more is killed.
  std::uint64_t (*memory_left)() = [] { return UINT64_MAX; };
  std::uint64_t memory_spared = 0;
};

class Adopted {
 public:
  using Lease = std::uint64_t;  // a segment whose pages peers may read and write; 0: none

  static Adopted& of_process();

  // For as long as any of these lives, pages stay adopted between calls; when the last one has ended, all become private ones
  // again.
  using Use = std::shared_ptr<const void>;
  [[nodiscard]] Use use();
  // A call begins that owns these bytes.
  [[nodiscard]] Lease enter(ConstBytes bytes, const AdoptionLimits& limits);
  // It has ended.
  void leave(Lease lease) noexcept;
  // Where these bytes lie, if they are within the pages of a call that has not ended, but for less than two pages at either end
  // that share them with other memory of the program. All but the last come in multiples of Consumer::kGrain.
  struct Part {
    Location location;                 // of those between
    std::uint32_t head = 0, tail = 0;  // how many they are
  };
  [[nodiscard]] std::optional<Part> find_part(ConstBytes bytes) const noexcept {
    if (leases_.load(std::memory_order_relaxed) == 0) [[likely]]
      return std::nullopt;
    return look_up(bytes);
  }
  [[nodiscard]] std::unordered_set<std::uint64_t> existing(const std::unordered_set<std::uint64_t>& segments) const;

  // What a page costs, once, with what a peer needs to map it: microseconds, found out by adopting some. Or why nothing can be.
  [[nodiscard]] Result<double> page_cost_us();
  // All pages that no call uses become private ones again.
  void give_back();
  // A peer may write to any of them at any time, as it has stopped in the middle of that: all become private ones, those that
  // calls use when these end.
  void withdraw();
  [[nodiscard]] AdoptionReport report() const;

 private:
  struct Range {
    Bytes pages;
    std::uint64_t segment = 0;
    Fd fd;
    std::uint64_t device = 0, inode = 0;
    Mapping state;  // the page behind the user's
    std::uint32_t leases = 0;
    bool withdrawn = false;            // no further call uses it
    std::optional<Error> half_shared;  // why not all of it became shared, where it could not be undone
  };
  struct Candidate {
    std::uint32_t uses = 0;
    std::uint64_t last_call = 0;
  };
  using Ranges = std::map<const std::byte*, Range>;

  Adopted();
  void before_fork();
  void after_fork(bool in_child);
  [[nodiscard]] std::optional<Part> look_up(ConstBytes bytes) const noexcept;
  void take(Range& range) noexcept;
  [[nodiscard]] Ranges::iterator covering(ConstBytes bytes);
  [[nodiscard]] Status have_query();
  [[nodiscard]] Result<double> time_a_page();
  [[nodiscard]] bool is_still_there(const Range& range) const;
  void look_for_lost();
  [[nodiscard]] bool has_come_often(ConstBytes pages, const AdoptionLimits& limits);
  // Whether the program has asked for huge pages there, or why they may not.
  [[nodiscard]] Result<bool> may_be_adopted(ConstBytes bytes, const AdoptionLimits& limits) const;
  [[nodiscard]] Result<Range> share_in_place(Bytes pages, bool huge) const;
  [[nodiscard]] Result<bool> make_private(const Range& range) const;  // false: the file's pages are still needed
  Lease refuse(Bytes pages, const Error& why);
  [[nodiscard]] Lease adopt(ConstBytes bytes, const AdoptionLimits& limits);
  Ranges::iterator end(Ranges::iterator range);
  // Counts those that have ended.
  template <class Wanted>
  void end_idle(Wanted&& wanted, std::uint64_t& count, bool forced = false);  // forced: even if devices may hold on to them

  mutable std::mutex mutex_;
  std::condition_variable left_;
  Ranges ranges_;  // by their beginning
  std::map<std::pair<const std::byte*, std::size_t>, Candidate> candidates_;
  std::optional<Result<AreaQuery>> query_;      // once it has been asked for
  std::optional<Result<double>> page_cost_us_;  // likewise
  std::weak_ptr<const void> users_;
  std::uint64_t calls_ = 0;
  std::atomic<std::uint32_t> leases_{0};
  AdoptionReport report_;
};

}  // namespace tutti::shm
