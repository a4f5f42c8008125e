#include "transports/shm/address_space.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>

#include "core/file.h"

namespace tutti::shm {
namespace {

constexpr std::uint64_t kMostText = std::uint64_t{1} << 20;

// Declared here, as distributions have older headers than kernels.
struct Query {
  std::uint64_t size = sizeof(Query);
  std::uint64_t query_flags = 0;
  std::uint64_t query_addr = 0;
  std::uint64_t vma_start = 0, vma_end = 0, vma_flags = 0, vma_page_size = 0, vma_offset = 0, inode = 0;
  std::uint32_t dev_major = 0, dev_minor = 0;
  std::uint32_t vma_name_size = 0, build_id_size = 0;
  std::uint64_t vma_name_addr = 0, build_id_addr = 0;
};
static_assert(sizeof(Query) == 104);
constexpr unsigned long kQuery = _IOWR('f', 17, Query);
enum Flag : std::uint64_t { readable = 1, writable = 2, executable = 4, shared = 8 };
enum Asked : std::uint64_t { here = 0, here_or_next = 0x10, of_files = 0x20 };

std::byte* pointer(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }  // NOLINT(performance-no-int-to-ptr)

bool overlap(const Area& area, ConstBytes range) { return area.begin < range.data() + range.size() && range.data() < area.end; }

template <class T>
bool take_number(std::string_view& text, T& number, int base, std::string_view behind) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(behind)) return false;
  text.remove_prefix(behind.size());
  return true;
}

// "55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0                          [heap]"
std::optional<Area> parse_area(std::string_view line) {
  Area area;
  std::uint64_t begin = 0, end = 0;
  unsigned major = 0, minor = 0;
  if (!take_number(line, begin, 16, "-") || !take_number(line, end, 16, " ") || line.size() < 5) return std::nullopt;
  area.begin = pointer(begin);
  area.end = pointer(end);
  area.readable = line[0] == 'r';
  area.writable = line[1] == 'w';
  area.executable = line[2] == 'x';
  area.shared = line[3] == 's';
  line.remove_prefix(5);
  if (!take_number(line, area.offset, 16, " ") || !take_number(line, major, 16, ":") || !take_number(line, minor, 16, " ") ||
      !take_number(line, area.inode, 10, ""))
    return std::nullopt;
  area.device = makedev(major, minor);
  if (const auto name = line.find_first_not_of(' '); name != std::string_view::npos) area.name = line.substr(name);
  return area;
}

// Line by line: there may be very many, and just then little room for them.
template <class Visit>
Status for_each_line(const char* path, Visit&& visit) {
  std::ifstream file(path);
  if (!file) return system_error(errno, fmt::format("opening {}", path));
  for (std::string line; std::getline(file, line);) visit(line);
  return {};
}

Result<std::vector<Area>> areas_where(const std::function<bool(const Area&)>& wanted) {
  std::vector<Area> found;
  const Status read = for_each_line("/proc/self/maps", [&](const std::string& line) {
    if (auto area = parse_area(line); area && wanted(*area)) found.push_back(std::move(*area));
  });
  if (!read) return read.error().clone();
  return found;
}

}  // namespace

Result<AreaQuery> AreaQuery::open() {
  Fd maps(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  if (!maps) return system_error(errno, "opening /proc/self/maps");
  AreaQuery query(std::move(maps));
  const std::byte here{};
  if (!query.at(&here)) return Error(Code::unsupported, "the kernel does not answer PROCMAP_QUERY (Linux 6.11)");
  return query;
}

std::optional<Area> AreaQuery::at(const std::byte* address) const noexcept { return ask(address, Asked::here); }

std::vector<Area> AreaQuery::of_file(std::uint64_t device, std::uint64_t inode) const {
  std::vector<Area> found;
  const std::byte* from = nullptr;
  while (auto area = ask(from, Asked::here_or_next | Asked::of_files)) {
    from = area->end;
    if (area->inode == inode && area->device == device) found.push_back(std::move(*area));
  }
  return found;
}

std::optional<Area> AreaQuery::ask(const std::byte* address, std::uint64_t flags) const noexcept {
  Query query{.query_flags = flags, .query_addr = reinterpret_cast<std::uint64_t>(address)};
  if (ioctl(maps_.get(), kQuery, &query) != 0) return std::nullopt;
  return Area{.begin = pointer(query.vma_start),
              .end = pointer(query.vma_end),
              .readable = (query.vma_flags & readable) != 0,
              .writable = (query.vma_flags & writable) != 0,
              .executable = (query.vma_flags & executable) != 0,
              .shared = (query.vma_flags & shared) != 0,
              .offset = query.vma_offset,
              .inode = query.inode,
              .device = makedev(query.dev_major, query.dev_minor),
              .name = {}};
}

bool AreaQuery::is_of(const std::byte* address, std::string_view file) const noexcept {
  std::array<char, 64> name{};  // longer ones are of others
  Query query{.query_addr = reinterpret_cast<std::uint64_t>(address)};
  query.vma_name_addr = reinterpret_cast<std::uint64_t>(name.data());
  query.vma_name_size = name.size();
  return ioctl(maps_.get(), kQuery, &query) == 0 && query.vma_name_size > 0 && file == name.data();
}

Result<std::vector<Area>> areas(ConstBytes range) {
  return areas_where([&](const Area& area) { return overlap(area, range); });
}

bool has_policy_of_its_own(const std::byte* address) noexcept {
  constexpr int kOfAddress = 2;  // MPOL_F_ADDR of linux/mempolicy.h
  int mode = 0;
  return syscall(SYS_get_mempolicy, &mode, nullptr, 0, address, kOfAddress) == 0 && mode != 0;
}

Result<bool> uses_a_gpu() {
  static constexpr std::array<std::string_view, 3> kDevices{"/dev/nvidia", "/dev/kfd", "/dev/dxg"};
  auto found = areas_where([](const Area& area) {
    return std::ranges::any_of(kDevices, [&](std::string_view device) { return area.name.starts_with(device); });
  });
  if (!found) return std::move(found.error());
  return !found->empty();
}

Result<std::vector<std::string>> area_flags(ConstBytes range) {
  std::vector<std::string> flags;
  bool inside = false;
  const Status read = for_each_line("/proc/self/smaps", [&](const std::string& line) {
    if (const auto area = parse_area(line)) {
      inside = overlap(*area, range);
    } else if (inside && line.starts_with("VmFlags:")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      for (std::string flag; words >> flag;)
        if (std::ranges::find(flags, flag) == flags.end()) flags.push_back(flag);
    }
  });
  if (!read) return read.error().clone();
  return flags;
}

Result<std::uint64_t> pinned_bytes() {
  auto text = read_file("/proc/self/status", kMostText);
  if (!text) return std::move(text.error());
  constexpr std::string_view kLabel = "\nVmPin:";
  const auto at = text->find(kLabel);
  std::uint64_t kib = 0;
  std::string_view rest = at == std::string::npos ? "" : std::string_view(*text).substr(at + kLabel.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  if (!take_number(rest, kib, 10, "")) return Error(Code::unsupported, "/proc/self/status has no VmPin");
  return kib << 10;
}

}  // namespace tutti::shm
