#include "doctor/system.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>

#include "doctor/helper.h"
#include "topology/cpus.h"
#include "topology/virtual_machine.h"
#include "transports/shm/cma.h"

namespace tutti::doctor {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0'; };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), blank).base(), text.end());
  text.erase(text.begin(), std::ranges::find_if_not(text, blank));
  return text;
}

}  // namespace

Result<System> System::here(const Config& config, int ranks, int ranks_here) {
  System system("/");
  system.ranks = ranks;
  system.ranks_here = ranks_here;
  system.interface_spec = config.text(Var::interface);
  system.topology_spec = config.text(Var::topology);
  system.shm_bytes = static_cast<std::uint64_t>(config.integer(Var::shm_bytes));
  system.tcp_sockets = static_cast<int>(config.integer(Var::tcp_sockets));
  system.uses_cma = config.flag(Var::cma);
  system.transport_spec = config.text(Var::transport);
  system.ib_devices = config.text(Var::ib_devices);
  system.ib_gid_index = config.is_set(Var::ib_gid_index) ? static_cast<int>(config.integer(Var::ib_gid_index)) : -1;
  system.ib_ring_bytes = static_cast<std::size_t>(config.integer(Var::ib_ring));
  system.is_root = geteuid() == 0;
  system.cma_error = probe_cma();
  system.gpus = probe_gpus();
  system.rdma = probe_rdma();
  auto topology = discover();
  if (topology)
    system.topology = std::move(*topology);
  else
    system.topology_error = topology.error().to_string();
  auto addresses = list_interfaces();
  if (!addresses) return std::move(addresses.error());
  system.addresses = std::move(*addresses);
  return system;
}

std::optional<std::string> System::line(const std::string& path) const {
  std::ifstream in(at(path));
  std::string text;
  if (!std::getline(in, text)) return std::nullopt;
  return trimmed(std::move(text));
}

std::vector<std::string> System::lines(const std::string& path) const {
  std::ifstream in(at(path));
  std::vector<std::string> all;
  for (std::string text; std::getline(in, text);) all.push_back(text);
  return all;
}

std::optional<double> System::number(const std::string& path) const {
  std::ifstream in(at(path));
  double value = 0;
  return in >> value ? std::optional(value) : std::nullopt;
}

std::optional<std::string> System::bytes(const std::string& path, std::size_t most) const {
  std::ifstream in(at(path), std::ios::binary);
  if (!in) return std::nullopt;
  std::string text(most, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

bool System::exists(const std::string& path) const {
  std::error_code ignored;
  return fs::exists(at(path), ignored);
}

std::vector<std::string> System::names(const std::string& folder) const {
  std::vector<std::string> all;
  std::error_code error;
  for (fs::directory_iterator it(at(folder), error), end; !error && it != end; it.increment(error))
    all.push_back(it->path().filename().string());
  std::ranges::sort(all);
  return all;
}

std::optional<std::string> System::field(const std::string& path, std::string_view key) const {
  for (const std::string& text : lines(path)) {
    const std::size_t colon = text.find(':');
    if (colon != std::string::npos && trimmed(text.substr(0, colon)) == key) return trimmed(text.substr(colon + 1));
  }
  return std::nullopt;
}

std::string System::resolved(const std::string& path) const {
  std::error_code error;
  const fs::path real = fs::canonical(at(path), error);
  return error ? "" : real.string();
}

std::optional<std::uint64_t> System::limit(std::string_view name) const {
  for (const std::string& text : lines("proc/self/limits")) {
    if (!text.starts_with(name)) continue;
    const std::string rest = trimmed(text.substr(name.size()));
    if (rest.starts_with("unlimited")) return kUnlimited;
    std::uint64_t value = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), value).ec == std::errc()) return value;
  }
  return std::nullopt;
}

std::vector<int> System::bound() const {
  const auto list = field("proc/self/status", "Cpus_allowed_list");
  return list ? parse_cpus(*list).value_or(std::vector<int>()) : std::vector<int>();
}

CgroupLimits System::cgroup() const { return read_cgroup_limits(at("proc/self/cgroup"), at("sys/fs/cgroup")); }

std::string System::virtual_machine() const { return signs_of_virtual_machine(read_machine_signs(root_), topology, 0); }

bool System::has_capability(int number) const {
  // In a user namespace of its own a process has capabilities over that only.
  if (const auto users = line("proc/self/uid_map"); users && !users->ends_with(" 4294967295")) return false;
  const auto effective = field("proc/self/status", "CapEff");  // hexadecimal
  return effective ? (std::strtoull(effective->c_str(), nullptr, 16) >> number & 1) != 0 : is_root;
}

std::string System::chosen_word(const std::string& path) const {
  const std::string text = line(path).value_or("");
  const std::size_t open = text.find('['), close = text.find(']', open);
  return open == std::string::npos || close == std::string::npos ? text : text.substr(open + 1, close - open - 1);
}

int probe_cma() {
  constexpr unsigned kSeconds = 10;
  const std::uint64_t word = 0x7475747469646f63;
  const pid_t parent = getpid();
  auto asked = Helper::start(
      [&](int) {
        errno = 0;
        const bool read = shm::can_read(parent, reinterpret_cast<std::uint64_t>(&word), word);
        return std::to_string(read ? 0 : errno != 0 ? errno : EIO);
      },
      kSeconds);
  if (!asked) return EAGAIN;
  auto answer = asked->answer();
  return answer ? std::stoi(*answer) : EINTR;  // seccomp may kill
}

}  // namespace tutti::doctor
