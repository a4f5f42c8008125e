// What the kernel says of this process's address space. Linux 6.11 answers for one address (PROCMAP_QUERY, linux/fs.h), in less
// than a microsecond; the rest of it reads files of /proc, which takes as long as there are mappings.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/fd.h"
#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::shm {

// One mapping.
struct Area {
  std::byte* begin = nullptr;
  std::byte* end = nullptr;
  bool readable = false, writable = false, executable = false, shared = false;
  std::uint64_t offset = 0;  // in its file
  std::uint64_t inode = 0;   // 0: of no file
  std::uint64_t device = 0;
  std::string name;  // "[heap]", a path

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
  [[nodiscard]] int protection() const noexcept {
    return (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0) | (executable ? PROT_EXEC : 0);
  }
};

// Asks about single addresses. Of this process only: a child has to make its own.
class AreaQuery {
 public:
  // Code::unsupported where the kernel is older.
  static Result<AreaQuery> open();
  // The mapping in which the address lies, without its name.
  [[nodiscard]] std::optional<Area> at(const std::byte* address) const noexcept;
  // All mappings of this file, in order; without their names. Takes no further descriptor, and /proc may be gone by then.
  [[nodiscard]] std::vector<Area> of_file(std::uint64_t device, std::uint64_t inode) const;
  // Whether that one is of this file ("/memfd:name (deleted)").
  [[nodiscard]] bool is_of(const std::byte* address, std::string_view file) const noexcept;

 private:
  explicit AreaQuery(Fd maps) : maps_(std::move(maps)) {}
  [[nodiscard]] std::optional<Area> ask(const std::byte* address, std::uint64_t flags) const noexcept;
  Fd maps_;
};

// Those that have bytes of this range, in order; with their names.
[[nodiscard]] Result<std::vector<Area>> areas(ConstBytes range);
// Whether the program has asked for memory of certain NUMA nodes there.
[[nodiscard]] bool has_policy_of_its_own(const std::byte* address) noexcept;
// Whether a GPU's driver is at work in this process: it has a device of it mapped.
[[nodiscard]] Result<bool> uses_a_gpu();
// The two-letter flags of /proc/PID/smaps ("rd", "lo": see proc(5)) that any mapping of this range has.
[[nodiscard]] Result<std::vector<std::string>> area_flags(ConstBytes range);
// Bytes of this process's memory that devices may hold on to (VmPin of /proc/self/status).
[[nodiscard]] Result<std::uint64_t> pinned_bytes();

}  // namespace tutti::shm
