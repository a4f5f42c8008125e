#include "transports/shm/adopted.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <sstream>

#include "core/clock.h"
#include "core/log.h"
#include "transports/shm/purges.h"

namespace tutti::shm {
namespace {

// Messages that are smaller go through the arena anyway.
constexpr std::size_t kLeast = std::size_t{32} << 10;
// So much memory is there twice while it is adopted.
constexpr std::size_t kBlock = std::size_t{4} << 20;
constexpr std::size_t kMostCandidates = 1024;
// A buffer that has not come for so many calls begins anew.
constexpr std::uint64_t kMemory = 1 << 16;
constexpr std::uint64_t kCallsPerLook = 64;
// How long fork() waits for other threads' calls.
constexpr std::chrono::seconds kForkWait{60};

thread_local std::uint32_t tOwnLeases = 0;  // which a thread that forks within a call does not wait for

Bytes whole_pages(ConstBytes bytes) {
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + kPage - 1) / kPage * kPage;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / kPage * kPage;
  if (end <= begin) return {};
  return {reinterpret_cast<std::byte*>(begin), end - begin};  // NOLINT(performance-no-int-to-ptr)
}

const std::byte* end_of(ConstBytes bytes) { return bytes.data() + bytes.size(); }
template <class Words>
bool has(const Words& words, std::string_view word) {
  return std::ranges::find(words, word) != std::end(words);
}
bool overlap(ConstBytes a, ConstBytes b) { return a.data() < end_of(b) && b.data() < end_of(a); }

// The system reads and writes these bytes: what the program has freed, or protected, is not for us to touch, but may come back.
Status write_to(const Fd& fd, std::size_t offset, ConstBytes bytes) {
  while (!bytes.empty()) {
    const long written = syscall(SYS_pwrite64, fd.get(), bytes.data(), bytes.size(), offset);
    if (written <= 0)
      return system_error(written < 0 ? errno : ENOSPC, fmt::format("writing {} bytes of shared memory", bytes.size()));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
  return {};
}
Status read_from(const Fd& fd, std::size_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t got = pread(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got <= 0) return system_error(got < 0 ? errno : EIO, fmt::format("reading {} bytes of shared memory", bytes.size()));
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::size_t>(got);
  }
  return {};
}

// A mapping that is moved to where another one is: in one step, so that nobody who reads there sees a change.
Status move_over(Mapping fresh, Bytes pages) {
  // Not by the function of that name, before which libraries that keep registrations of memory put one of their own (that of UCX
  // 1.13 moves nothing).
  const long moved = syscall(SYS_mremap, fresh.data(), pages.size(), pages.size(), MREMAP_MAYMOVE | MREMAP_FIXED, pages.data());
  if (moved != reinterpret_cast<long>(pages.data()))
    return system_error(errno, fmt::format("moving {} bytes into their place", pages.size()));
  fresh.forget();
  return {};
}

template <class Do>
Status in_blocks(Bytes pages, Do&& each) {
  for (std::size_t at = 0; at < pages.size(); at += kBlock)
    if (Status s = each(pages.subspan(at, std::min(kBlock, pages.size() - at)), at); !s) return s;
  return {};
}

// Not as the program's own advice, which is kept in mind.
int advise(Bytes bytes, int advice) { return static_cast<int>(syscall(SYS_madvise, bytes.data(), bytes.size(), advice)); }

// Shared pages with the same bytes take the place of private ones.
Status share(Bytes pages, const Fd& fd, bool huge) {
  return in_blocks(pages, [&](Bytes block, std::size_t at) -> Status {
    if (Status s = write_to(fd, at, block); !s) return s;
    auto fresh = Mapping::of(fd.get(), block.size(), PROT_READ | PROT_WRITE, at);
    if (!fresh) return std::move(fresh.error());
    if (huge) advise(fresh->bytes(), MADV_HUGEPAGE);
    fresh->enter(0, block.size());
    return move_over(std::move(*fresh), block);
  });
}

// The other way round, as long as nobody can write there: with copies.
Status make_copies(const Fd& fd, const Area& area, bool huge) {
  return in_blocks({area.begin, area.size()}, [&](Bytes block, std::size_t at) -> Status {
    auto fresh = Mapping::of_own(block.size());
    if (!fresh) return std::move(fresh.error());
    if (huge) advise(fresh->bytes(), MADV_HUGEPAGE);
    if (Status s = read_from(fd, area.offset + at, fresh->bytes()); !s) return s;
    mprotect(fresh->data(), block.size(), area.protection());
    return move_over(std::move(*fresh), block);
  });
}

void punch(const Fd& fd, std::size_t offset, std::size_t size) {
  fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size));
}

// Other threads may write there meanwhile, as no call has it, and of what they write nothing may be lost between a copy and its
// move: so the same pages of the file take their own place, privately, and the kernel is asked for copies as if each had been
// written to. false: not all have been copied, and the file's pages are needed.
Result<bool> let_kernel_copy(const Fd& fd, const Area& area, bool huge) {
  bool all = true;
  Status mapped = in_blocks({area.begin, area.size()}, [&](Bytes block, std::size_t at) -> Status {
    const std::size_t offset = area.offset + at;
    int error = 0;
    Emptied::of_process().hold([&] {  // or what is emptied now would be full again
      // Not by the function, which to sanitizers is a write.
      const auto map = [&](long kind) {
        return syscall(SYS_mmap, block.data(), block.size(), area.protection(), kind | MAP_FIXED, fd.get(), offset);
      };
      if (map(MAP_PRIVATE) == -1) {
        error = errno;
        map(MAP_SHARED);  // kernels before 6.12 may have unmapped it
        advise(block, MADV_DONTFORK);
        return;
      }
      if (huge) advise(block, MADV_HUGEPAGE);
      const bool copied = advise(block, MADV_POPULATE_WRITE) == 0;
      if (copied) punch(fd, offset, block.size());
      all = all && copied;
    });
    return error == 0 ? Status{} : system_error(error, fmt::format("mapping {} bytes privately", block.size()));
  });
  if (!mapped) return std::move(mapped.error());
  return all;
}

// Wherever the program may have moved them: all that is mapped of the file and shared, but for the state behind the pages, which
// a peer in this process has mapped with them.
std::vector<Area> areas_of_pages(const AreaQuery& query, std::uint64_t device, std::uint64_t inode, std::size_t size) {
  auto found = query.of_file(device, inode);
  std::erase_if(found, [size](const Area& area) { return !area.shared || area.offset + area.size() > size; });
  return found;
}

// false: the file's pages are still needed.
Result<bool> make_private(const AreaQuery& query, const Fd& fd, std::uint64_t device, std::uint64_t inode, std::size_t size) {
  bool all = true;
  for (const Area& area : areas_of_pages(query, device, inode, size)) {
    auto flags = area_flags({area.begin, area.size()});
    const bool huge = flags && has(*flags, "hg");
    if (!area.writable) {
      if (Status s = make_copies(fd, area, huge); !s) return std::move(s.error());
      continue;
    }
    auto copied = let_kernel_copy(fd, area, huge);
    if (!copied) return std::move(copied.error());
    all = all && *copied;
  }
  return all;
}

// What has become private again is still called after its file, of which it has nothing any more.
bool was_adopted(const Area& area) { return !area.shared && area.name == kAdoptedFile; }

bool on_this_threads_stack(ConstBytes pages) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return true;
  void* stack = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &stack, &size);
  pthread_attr_destroy(&attributes);
  return overlap(pages, {static_cast<const std::byte*>(stack), size});
}

// Numbers that stand alone are "N": a reason is one, whatever the buffer's size, and there are only as many as there are
// sentences.
std::string without_sizes(const std::string& reason) {
  std::istringstream words(reason);
  std::string text;
  for (std::string word; words >> word;) {
    const bool is_number = std::ranges::all_of(word, [](char c) { return '0' <= c && c <= '9'; });
    if (!text.empty()) text += ' ';
    text += is_number ? "N" : word;
  }
  return text;
}

Error refusal(std::string reason) { return {Code::unsupported, std::move(reason)}; }

// No device holds on to pages of the process, as far as the kernel knows. A GPU's driver does not tell it.
Status check_devices() {
  auto pinned = pinned_bytes();
  if (!pinned) return std::move(pinned.error());
  if (*pinned > 0) return refusal("devices hold on to memory of the process");
  auto gpu = uses_a_gpu();
  if (!gpu) return std::move(gpu.error());
  return *gpu ? Status(refusal("a GPU may hold on to memory of the process")) : Status{};
}

// Private, ordinary, without gaps.
Status check_areas(ConstBytes pages) {
  auto found = areas(pages);
  if (!found) return std::move(found.error());
  const std::byte* at = pages.data();
  for (const Area& area : *found) {
    if (area.begin > at) return refusal("it has gaps");
    if (area.shared || (area.inode != 0 && !was_adopted(area))) return refusal("it is shared, or of a file");
    if (!area.readable || !area.writable) return refusal("it is protected");
    if (area.executable || area.name == "[stack]") return refusal("it is a stack, or code");
    if (has_policy_of_its_own(area.begin)) return refusal("it has a NUMA policy");
    at = area.end;
  }
  return at < end_of(pages) ? Status(refusal("it has gaps")) : Status{};
}

// Nothing has been asked of the kernel about them that shared pages would not do, or would do otherwise. Whether huge pages have.
Result<bool> check_flags(ConstBytes pages) {
  constexpr std::array<std::string_view, 10> kHarmless{"rd", "wr", "mr", "mw", "me", "ac", "nr", "hg", "nh", "sd"};
  auto flags = area_flags(pages);
  if (!flags) return std::move(flags.error());
  for (const std::string& flag : *flags) {
    if (flag == "lo") return refusal("it is locked");
    if (flag == "ht") return refusal("it has huge pages of its own");
    if (flag == "um" || flag == "uw" || flag == "ui") return refusal("its faults are handled by the program");
    if (!has(kHarmless, flag)) return refusal(fmt::format("it has been given a property by madvise or mmap (smaps: {})", flag));
  }
  return has(*flags, "hg");
}

}  // namespace

Adopted::Adopted() {
  // Its handler is to run after ours, which waits for calls that may need what that one locks.
  (void)Segments::of_process();
  pthread_atfork([] { of_process().before_fork(); }, [] { of_process().after_fork(false); },
                 [] { of_process().after_fork(true); });
}

// Never destroyed: memory may be freed by destructors that run when the program ends.
Adopted& Adopted::of_process() {
  static Adopted& adopted = *new Adopted;
  return adopted;
}

Adopted::Use Adopted::use() {
  const std::lock_guard lock(mutex_);
  if (auto known = users_.lock()) return known;
  Use first(static_cast<const void*>(this), [](const void*) { of_process().give_back(); });
  users_ = first;
  return first;
}

Adopted::Lease Adopted::enter(ConstBytes bytes, const AdoptionLimits& limits) {
  const Bytes pages = whole_pages(bytes);
  if (pages.size() < kLeast) return 0;
  const std::lock_guard lock(mutex_);
  if (++calls_ % kCallsPerLook == 0) look_for_lost();
  if (const auto known = covering(pages); known != ranges_.end()) {
    if (!known->second.withdrawn && is_still_there(known->second)) {
      take(known->second);
      return known->second.segment;
    }
    look_for_lost();
  }
  return has_come_often(pages, limits) ? adopt(bytes, limits) : 0;
}

void Adopted::take(Range& range) noexcept {
  ++range.leases;
  ++tOwnLeases;
  leases_.fetch_add(1, std::memory_order_relaxed);
}

void Adopted::leave(Lease lease) noexcept {
  if (lease == 0) return;
  const std::lock_guard lock(mutex_);
  const auto held = std::ranges::find_if(ranges_, [lease](const auto& entry) { return entry.second.segment == lease; });
  if (held == ranges_.end()) return;  // of a call in which this child was made
  --held->second.leases;
  --tOwnLeases;
  leases_.fetch_sub(1, std::memory_order_relaxed);
  if (held->second.withdrawn) end_idle([](const Range& range) { return range.withdrawn; }, report_.given_back, true);
  left_.notify_all();
}

Adopted::Ranges::iterator Adopted::covering(ConstBytes bytes) {
  auto after = ranges_.upper_bound(bytes.data());
  if (after == ranges_.begin()) return ranges_.end();
  --after;
  return end_of(bytes) <= end_of(after->second.pages) ? after : ranges_.end();
}

std::optional<Adopted::Part> Adopted::look_up(ConstBytes bytes) const noexcept {
  const std::lock_guard lock(mutex_);
  auto after = ranges_.upper_bound(end_of(bytes) - 1);
  if (bytes.empty() || after == ranges_.begin()) return std::nullopt;
  const Range& range = (--after)->second;
  if (range.leases == 0 || !overlap(range.pages, bytes)) return std::nullopt;
  const auto before = std::max<std::ptrdiff_t>(range.pages.data() - bytes.data(), 0);
  const auto behind = std::max<std::ptrdiff_t>(end_of(bytes) - end_of(range.pages), 0);
  constexpr std::ptrdiff_t kMost = kPage, kGrain = Consumer::kGrain;
  const std::ptrdiff_t head = (before + kGrain - 1) / kGrain * kGrain;
  const auto size = static_cast<std::ptrdiff_t>(bytes.size());
  const std::ptrdiff_t tail = behind == 0 ? 0 : size - head - (size - head - behind) / kGrain * kGrain;
  if (before > kMost || behind > kMost || head + tail >= size) return std::nullopt;
  return Part{.location = {.segment = range.segment,
                           .offset = static_cast<std::uint64_t>(bytes.data() + head - range.pages.data()),
                           .fd = range.fd.get()},
              .head = static_cast<std::uint32_t>(head),
              .tail = static_cast<std::uint32_t>(tail)};
}

std::unordered_set<std::uint64_t> Adopted::existing(const std::unordered_set<std::uint64_t>& segments) const {
  const std::lock_guard lock(mutex_);
  std::unordered_set<std::uint64_t> existing;
  for (const auto& [begin, range] : ranges_)
    if (segments.contains(range.segment)) existing.insert(range.segment);
  return existing;
}

bool Adopted::is_still_there(const Range& range) const {
  const std::byte* at = range.pages.data();
  while (at < end_of(range.pages)) {
    const auto area = query_->operator->()->at(at);
    const auto offset = static_cast<std::uint64_t>(at - range.pages.data());
    if (!area || !area->shared || area->inode != range.inode || area->device != range.device || !area->readable ||
        !area->writable || area->offset + static_cast<std::uint64_t>(at - area->begin) != offset)
      return false;
    at = area->end;
  }
  return true;
}

bool Adopted::has_come_often(ConstBytes pages, const AdoptionLimits& limits) {
  if (candidates_.size() >= kMostCandidates)
    std::erase_if(candidates_, [&](const auto& entry) { return calls_ - entry.second.last_call > kMostCandidates; });
  if (candidates_.size() >= kMostCandidates) candidates_.clear();
  Candidate& candidate = candidates_[{pages.data(), pages.size()}];
  if (calls_ - candidate.last_call > kMemory) candidate.uses = 0;
  candidate.last_call = calls_;
  if (++candidate.uses < limits.uses) return false;
  candidate.uses = 0;  // what is refused may be tried again, after as many calls
  return true;
}

Result<bool> Adopted::may_be_adopted(ConstBytes bytes, const AdoptionLimits& limits) const {
  const Bytes pages = whole_pages(bytes);
  if (!may_take_another(ranges_.size())) return refusal("there are too many already");
  if (report_.bytes_now + pages.size() > limits.bytes) return refusal("so much may not be adopted");
  if (limits.memory_left() < limits.memory_spared) return refusal("little memory is left to this control group");
  for (const auto& [begin, range] : ranges_)
    if (overlap(range.pages, pages)) return refusal("it overlaps with the buffer of another call");
  if (access("/dev/xpmem", F_OK) == 0) return refusal("XPMEM may have it mapped elsewhere");
  if (Status s = check_purges(bytes); !s) return std::move(s.error());
  if (Status s = check_devices(); !s) return std::move(s.error());
  if (on_this_threads_stack(pages)) return refusal("it is a stack, or code");
  if (Status s = check_areas(pages); !s) return std::move(s.error());
  return check_flags(pages);
}

Result<Adopted::Range> Adopted::share_in_place(Bytes pages, bool huge) const {
  Range range;
  range.pages = pages;
  auto fd = make_memfd(kAdoptedName, pages.size() + kPage);
  if (!fd) return std::move(fd.error());
  range.fd = std::move(*fd);
  if (!leaves_half(range.fd)) return refusal("half of the process's descriptors are in use (ulimit -n)");
  auto state = Mapping::of(range.fd.get(), kPage, PROT_READ | PROT_WRITE, pages.size());
  if (!state) return std::move(state.error());
  range.state = std::move(*state);
  if (Status s = seal(range.fd); !s) return std::move(s.error());
  struct stat status {};
  if (fstat(range.fd.get(), &status) != 0) return system_error(errno, "looking at shared memory");
  range.device = status.st_dev;
  range.inode = status.st_ino;
  if (Status s = share(pages, range.fd, huge); !s) {
    if (make_private(range)) return std::move(s.error());
    range.half_shared = std::move(s.error());
  }
  // A child that is made without fork() gets none of it, rather than ours.
  for (const Area& area : areas_of_pages(**query_, range.device, range.inode, pages.size()))
    advise({area.begin, area.size()}, MADV_DONTFORK);
  if (huge) Emptied::of_process().keep_in_place(pages);
  range.segment = new_segment_number();
  return range;
}

Adopted::Lease Adopted::refuse(Bytes pages, const Error& why) {
  ++report_.refused[without_sizes(why.message())];
  log(LogLevel::info, fmt::format("{} bytes are not adopted: {}", pages.size(), why.to_string()));
  return 0;
}

Adopted::Lease Adopted::adopt(ConstBytes bytes, const AdoptionLimits& limits) {
  const Bytes pages = whole_pages(bytes);
  const TimePoint start = Clock::now();
  auto made = [&]() -> Result<Range> {
    if (Status s = have_query(); !s) return std::move(s.error());
    end_idle([&](const Range& range) { return overlap(range.pages, pages); }, report_.given_back);
    auto huge = may_be_adopted(bytes, limits);
    if (!huge) return std::move(huge.error());
    if (Status s = Emptied::of_process().begin(); !s) return std::move(s.error());
    return share_in_place(pages, *huge);
  }();
  if (!made) return refuse(pages, made.error());
  if (made->half_shared) {
    refuse(pages, *made->half_shared);
    report_.bytes_now += pages.size();
    ranges_.emplace(pages.data(), std::move(*made));  // until it can be undone
    return 0;
  }
  if (log_enabled(LogLevel::debug))
    log(LogLevel::debug, fmt::format("{} bytes at {} are adopted, in {:.0f} us", pages.size(), fmt::ptr(pages.data()),
                                     seconds_since(start) * 1e6));
  ++report_.adopted;
  report_.pages += pages.size() / kPage;
  report_.bytes_now += pages.size();
  take(*made);
  return ranges_.emplace(pages.data(), std::move(*made)).first->second.segment;
}

Status Adopted::have_query() {
  if (!query_) query_ = AreaQuery::open();
  return *query_ ? Status{} : query_->error().clone();
}

Result<double> Adopted::page_cost_us() {
  const std::lock_guard lock(mutex_);
  if (!page_cost_us_) page_cost_us_ = time_a_page();
  if (!*page_cost_us_ && ranges_.empty()) query_.reset();  // its descriptor may be one of the last
  return *page_cost_us_ ? Result<double>(**page_cost_us_) : page_cost_us_->error().clone();
}

// Of a buffer of middling size. Whoever maps them needs up to half as much again.
Result<double> Adopted::time_a_page() {
  constexpr std::size_t kPages = 256;
  constexpr double kMapping = 1.5;
  if (Status s = have_query(); !s) return std::move(s.error());
  auto memory = Mapping::of_own(kPages * kPage);
  if (!memory) return std::move(memory.error());
  std::ranges::fill(memory->bytes(), std::byte{1});
  const TimePoint start = Clock::now();
  (void)may_be_adopted(memory->bytes(), {});
  auto shared = share_in_place(memory->bytes(), false);
  if (!shared) return std::move(shared.error());
  if (shared->half_shared) return std::move(*shared->half_shared);
  return seconds_since(start) * 1e6 * kMapping / kPages;
}

Result<bool> Adopted::make_private(const Range& range) const {
  return shm::make_private(**query_, range.fd, range.device, range.inode, range.pages.size());
}

// Whatever is left of it in this process becomes private, and peers let go of it. Where there is no memory for that, it stays.
Adopted::Ranges::iterator Adopted::end(Ranges::iterator at) {
  Range& range = at->second;
  const auto copied = make_private(range);
  if (!copied) {
    log(LogLevel::warn, fmt::format("{} bytes stay adopted: {}", range.pages.size(), copied.error().to_string()));
    return std::next(at);
  }
  SegmentView(range.state).state().freed.store(1);
  if (*copied) punch(range.fd, 0, range.pages.size());
  report_.bytes_now -= range.pages.size();
  return ranges_.erase(at);
}

// A device that has come to hold on to pages since they were adopted would go on with those that they lose.
template <class Wanted>
void Adopted::end_idle(Wanted&& wanted, std::uint64_t& count, bool forced) {
  bool may_end = forced;
  for (auto range = ranges_.begin(); range != ranges_.end();) {
    if (range->second.leases > 0 || !wanted(range->second)) {
      ++range;
      continue;
    }
    if (!may_end) {
      if (Status s = check_devices(); !s) return log(LogLevel::info, "adopted pages stay so: " + s.error().to_string());
      may_end = true;
    }
    const std::size_t before = ranges_.size();
    range = end(range);
    count += before - ranges_.size();
  }
}

void Adopted::look_for_lost() {
  end_idle([this](const Range& range) { return !is_still_there(range); }, report_.lost);
}

void Adopted::give_back() {
  const std::lock_guard lock(mutex_);
  end_idle([](const Range&) { return true; }, report_.given_back);
}

void Adopted::withdraw() {
  const std::lock_guard lock(mutex_);
  for (auto& [begin, range] : ranges_) range.withdrawn = true;
  end_idle([](const Range&) { return true; }, report_.given_back, true);
}

AdoptionReport Adopted::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

// Other threads' calls are waited for, as peers write to their buffers. Of one that does not end, the child has nothing.
void Adopted::before_fork() {
  std::unique_lock lock(mutex_);
  left_.wait_for(lock, kForkWait, [this] { return leases_.load() == tOwnLeases; });
  end_idle([](const Range&) { return true; }, report_.given_back, true);
  lock.release();  // until after_fork()
}

void Adopted::after_fork(bool in_child) {
  if (in_child) {
    ranges_.clear();
    query_.reset();  // it asks about the parent
    leases_ = tOwnLeases = 0;
    std::construct_at(&left_);  // its other waiters are not in the child
    report_.bytes_now = 0;
    Emptied::of_process().start_anew_in_child();
  }
  mutex_.unlock();
}

}  // namespace tutti::shm
