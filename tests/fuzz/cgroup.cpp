// Files of control groups. Empty lines separate them: the membership, then those of kFiles.
#include "topology/sources/cgroup.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles{"cpu.max",
                            "memory.max",
                            "memory.current",
                            "memory.stat",
                            "cpu/cpu.cfs_quota_us",
                            "cpu/cpu.cfs_period_us",
                            "memory/memory.limit_in_bytes",
                            "memory/memory.usage_in_bytes",
                            "memory/memory.stat"};

struct Mount {
  Mount() {
    std::string pattern = (fs::temp_directory_path() / "tutti-fuzz-cgroup-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    for (const char* group : {"cpu", "memory"}) fs::create_directory(folder / group);
  }
  ~Mount() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  fs::path folder;
};

std::string_view next_file(std::string_view& text) {
  const std::string_view file = text.substr(0, text.find("\n\n"));
  text.remove_prefix(std::min(text.size(), file.size() + 2));
  return file;
}

}  // namespace

void try_input(ConstBytes input) {
  static const Mount mount;
  std::string_view text = text_of(input);
  std::ofstream(mount.folder / "membership", std::ios::binary) << next_file(text) << '\n';
  for (const char* file : kFiles) std::ofstream(mount.folder / file, std::ios::binary) << next_file(text);
  const CgroupLimits limits = read_cgroup_limits(mount.folder / "membership", mount.folder);
  promise(std::isfinite(limits.cpu_quota) && limits.cpu_quota >= 0, "a quota is a number of cores");
  promise(limits.memory_left_bytes <= limits.memory_bytes, "no more is left than there is");
}

}  // namespace tutti::fuzz
