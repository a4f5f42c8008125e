#include "core/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/spelling.h"

extern char** environ;

namespace tutti {
namespace {

constexpr std::array kTable{
    ConfigRow{Var::rank, "TUTTI_RANK", Kind::integer, "", "", "This process's rank, from 0, when no launcher says it."},
    ConfigRow{Var::size, "TUTTI_SIZE", Kind::integer, "", "", "Number of ranks, when no launcher says it."},
    ConfigRow{Var::rendezvous, "TUTTI_RENDEZVOUS", Kind::text, "", "",
              "host:port where rank 0 waits for the others to register ([address]:port for IPv6)."},
    ConfigRow{
        Var::secret, "TUTTI_SECRET", Kind::text, "", "",
        "Any text known to this job's ranks only; connections prove that they know it. Launchers with a key-value store make a "
        "random one by themselves."},
    ConfigRow{
        Var::interface, "TUTTI_INTERFACE", Kind::text, "", "",
        "Network interfaces to use: names or prefixes separated by commas, =name exact, ^name excluded, or an address or subnet "
        "(10.0.0.0/8)."},
    ConfigRow{
        Var::transport, "TUTTI_TRANSPORT", Kind::text, "", "",
        "Transports that may be used, separated by commas (shm,tcp); ^name excludes one. ucx is used only where it is named, or "
        "measured to be fastest between hosts (tutti tune --transports)."},
    ConfigRow{Var::algorithm, "TUTTI_ALGORITHM", Kind::text, "", "",
              "Forces algorithms: name, or collective:name, separated by commas, perhaps with parameters "
              "(all_reduce:ring/pieces=8,broadcast:knomial/radix=4)."},
    ConfigRow{
        Var::algorithm_filter, "TUTTI_ALGORITHM_FILTER", Kind::text, "", "",
        "Algorithms to choose from: names, or collective:name, separated by commas; ^name excludes one (all_reduce:^ring)."},
    ConfigRow{
        Var::order, "TUTTI_ORDER", Kind::choice, "same_layout", "fast|same_layout|placement_free|size_free",
        "What reductions promise about their bits: nothing from run to run; the same in every run with this layout; the same "
        "whatever the algorithm and the places of ranks; or whatever the number of ranks (exact sums)."},
    ConfigRow{
        Var::accumulate, "TUTTI_ACCUMULATE", Kind::choice, "usual", "usual|f32|f64",
        "What sums and products of floats add up in, with one rounding in the end: f32 (16- and 8-bit floats) or f64 (f32)."},
    ConfigRow{
        Var::schedules, "TUTTI_SCHEDULES", Kind::text, "", "",
        "Files of schedules, separated by commas, that are proved at the start and then used like the library's algorithms; "
        "all ranks must have the same."},
    ConfigRow{Var::plugins, "TUTTI_PLUGINS", Kind::text, "", "",
              "Libraries with algorithms (tutti/plugin.h), separated by commas; all ranks must have the same."},
    ConfigRow{
        Var::prove_ranks, "TUTTI_PROVE_RANKS", Kind::integer, "64", "",
        "Algorithms of plugins are proved at the start of a communicator of at most so many ranks, and not used in larger ones.",
        1, 4096},
    ConfigRow{
        Var::timeout, "TUTTI_TIMEOUT", Kind::seconds, "300", "",
        "Seconds that a call, or the start, may wait for other ranks before it fails with the name of the rank waited for."},
    ConfigRow{Var::log, "TUTTI_LOG", Kind::choice, "warn", "error|warn|info|debug", "What is logged."},
    ConfigRow{Var::log_file, "TUTTI_LOG_FILE", Kind::text, "", "",
              "File to log to instead of stderr; %r is the rank, %h the host, %p the process id."},
    ConfigRow{Var::topology, "TUTTI_TOPOLOGY", Kind::text, "", "",
              "Machine description to use instead of this machine: an XML file of hwloc or NCCL, a tutti JSON file, or a short "
              "description (node:2 numa:2 core:8); of as many hosts as the job has, it also says how they are joined (torus:4x4 "
              "core:8)."},
    ConfigRow{
        Var::memory_limit, "TUTTI_MEMORY_LIMIT", Kind::bytes, "", "",
        "Most memory one communicator may hold for scratch and transport buffers, such as 64M (unset: no limit); a call that "
        "needs more fails and says so."},
    ConfigRow{
        Var::shm_bytes, "TUTTI_SHM_BYTES", Kind::bytes, "8M", "",
        "Shared memory of a rank, for boards and for the connections to all others on its host, at least 16K; those that find "
        "no room in it get the least they can do with, up to four times as much in all.",
        16u << 10},
    ConfigRow{Var::tcp_sockets, "TUTTI_TCP_SOCKETS", Kind::integer, "2", "",
              "Sockets per TCP peer; large messages use all of them.", 1, 64},
    ConfigRow{Var::ib_devices, "TUTTI_IB_DEVICES", Kind::text, "", "",
              "RDMA devices to use: names or prefixes separated by commas, perhaps with a port (mlx5_0:1), =name exact, ^name "
              "excluded. Several ports carry large messages together."},
    ConfigRow{
        Var::ib_gid_index, "TUTTI_IB_GID_INDEX", Kind::integer, "", "",
        "Which entry of an RDMA port's table of GIDs is its address (unset: RoCE v2 with an IPv4 address, if there is one).", 0,
        255},
    ConfigRow{Var::ib_timeout, "TUTTI_IB_TIMEOUT", Kind::integer, "18", "",
              "An RDMA device sends a packet again that nobody has acknowledged in 4.096 us * 2^N; 18 is one second.", 1, 31},
    ConfigRow{Var::ib_retry, "TUTTI_IB_RETRY", Kind::integer, "6", "",
              "How often an RDMA device does so before the connection counts as lost; 7: some devices never give up.", 0, 7},
    ConfigRow{Var::ib_service_level, "TUTTI_IB_SERVICE_LEVEL", Kind::integer, "0", "", "Service level of RDMA connections.", 0,
              15},
    ConfigRow{Var::ib_traffic_class, "TUTTI_IB_TRAFFIC_CLASS", Kind::integer, "0", "",
              "Traffic class of RDMA connections; with RoCE v2, the upper six bits are the packets' DSCP.", 0, 255},
    ConfigRow{Var::ib_ring, "TUTTI_IB_RING", Kind::bytes, "128K", "",
              "Memory into which the other end of an RDMA connection writes messages that have no place yet; a connection holds "
              "twice as much. Messages of up to a quarter of it need not wait for their receiver. 16K to 1G.",
              16u << 10, 1u << 30},
    ConfigRow{Var::cma, "TUTTI_CMA", Kind::flag, "1", "",
              "Whether large messages between processes may be copied directly (process_vm_readv) where the system permits it."},
    ConfigRow{
        Var::adopt, "TUTTI_ADOPT", Kind::choice, "off", "off|auto|eager",
        "Whether pages of large buffers that come back are made shared in place, so that ranks of a host use them without a "
        "copy (auto), or at their first use (eager)."},
    ConfigRow{Var::adopt_bytes, "TUTTI_ADOPT_BYTES", Kind::bytes, "", "",
              "Most memory of a process that is so at a time, such as 4G (unset: a quarter of the host's)."},
    ConfigRow{Var::spin_us, "TUTTI_SPIN_US", Kind::integer, "1000", "",
              "Microseconds a waiting rank polls before it sleeps; with more ranks than cores it yields from the start.", 0,
              1'000'000'000},
    ConfigRow{Var::calibrate, "TUTTI_CALIBRATE", Kind::flag, "1", "",
              "Whether a communicator measures latency and bandwidth at its start (some 40 milliseconds); 0 uses the topology's "
              "estimates."},
    ConfigRow{
        Var::tuning, "TUTTI_TUNING", Kind::text, "auto", "",
        "File of what tutti tune has measured, which rank 0 reads for all; off: none; auto: tuning.json in $XDG_CACHE_HOME/tutti "
        "or ~/.cache/tutti, if there is one."},
    ConfigRow{Var::mpi, "TUTTI_MPI", Kind::flag, "1", "",
              "Whether libtutti_mpi.so serves an MPI program's collectives; 0 leaves them all to the MPI library."},
    ConfigRow{Var::mpi_report, "TUTTI_MPI_REPORT", Kind::text, "", "",
              "Where rank 0 of an MPI program tells at MPI_Finalize what was served and what was not: 1 for stderr, or a file."},
    ConfigRow{Var::mpi_check, "TUTTI_MPI_CHECK", Kind::flag, "0", "",
              "Whether every collective that libtutti_mpi.so serves also runs on the MPI library, and the results are compared."},
    ConfigRow{
        Var::nccl_version, "TUTTI_NCCL_VERSION", Kind::integer, "23007", "",
        "The version that libnccl.so.2 says it is (ncclGetVersion), for programs that ask for another one: 22809 is 2.28.9.",
        20900, 29999},
    ConfigRow{
        Var::cuda, "TUTTI_CUDA", Kind::choice, "auto", "auto|streams|kernel|host|off",
        "Who does calls on memory of devices: the devices where they can (auto; always by operations of streams, also in one "
        "pass, or, where no two ranks share a device, by a kernel), or the host. off: NVIDIA's driver is not looked for, and "
        "all memory taken for the "
        "host's."},
};

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i)
    if (kTable[i].var != static_cast<Var>(i)) return false;
  return true;
}
static_assert(rows_in_order());

const ConfigRow& row(Var var) { return kTable[static_cast<std::size_t>(var)]; }
std::size_t index(Var var) { return static_cast<std::size_t>(var); }

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// "", or " from 1 to 64": what a number must lie in.
std::string range_of(const ConfigRow& row) {
  if (row.least == 0 && row.most == INT64_MAX) return "";
  const auto show = [&](std::uint64_t n) { return row.kind == Kind::bytes ? format_bytes(n) : std::to_string(n); };
  return row.most == INT64_MAX ? fmt::format(", at least {}", show(row.least))
                               : fmt::format(" from {} to {}", show(row.least), show(row.most));
}

bool in_range(const ConfigRow& row, std::uint64_t number) { return number >= row.least && number <= row.most; }

// The name under which the value was given is put before what is said.
Status check_value(const ConfigRow& row, std::string_view value, std::string_view source) {
  const auto bad = [&](std::string_view expected) {
    return Error(Code::environment, fmt::format("{}=\"{}\" is not {}; {}", source, value, expected, row.help));
  };
  switch (row.kind) {
    case Kind::text:
      return {};
    case Kind::integer: {
      std::uint64_t number = 0;
      if (!parse_number(value, number) || !in_range(row, number)) return bad("a whole number" + range_of(row));
      return {};
    }
    case Kind::bytes: {
      const auto bytes = parse_bytes(value);
      if (!bytes || !in_range(row, *bytes)) return bad("a size such as 4096, 64K or 8M" + range_of(row));
      return {};
    }
    case Kind::seconds: {
      double number = 0;
      if (!parse_number(value, number) || !(number > 0) || number > 1e9) return bad("a positive number of seconds");
      return {};
    }
    case Kind::flag:
      if (value != "0" && value != "1") return bad("0 or 1");
      return {};
    case Kind::choice:
      for (std::string_view rest = row.choices;;) {
        const auto bar = rest.find('|');
        if (rest.substr(0, bar) == value) return {};
        if (bar == std::string_view::npos) return bad(fmt::format("one of {}", row.choices));
        rest.remove_prefix(bar + 1);
      }
  }
  return {};
}

// A misspelt variable would be silently without effect.
Status check_spelling() {
  constexpr std::string_view kPrefix = "TUTTI_";
  std::vector<std::string_view> known;
  for (const auto& r : kTable) known.push_back(r.name.substr(kPrefix.size()));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view name(*entry);
    name = name.substr(0, name.find('='));
    if (!name.starts_with(kPrefix)) continue;
    const auto meant = nearest(name.substr(kPrefix.size()), known);
    if (meant.empty() || name.substr(kPrefix.size()) == meant) continue;
    return Error(Code::environment, fmt::format("unknown variable {}: is {}{} meant?", name, kPrefix, meant));
  }
  return {};
}

}  // namespace

std::span<const ConfigRow> config_table() noexcept { return kTable; }

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

Result<Config> Config::from_environment() {
  Config config;
  for (const auto& r : kTable) {
    config.values_.emplace_back(r.default_value);
    config.sources_.emplace_back(r.name);
    config.set_.push_back(false);
  }
  for (const auto& r : kTable) {
    auto value = environment(std::string(r.name).c_str());
    if (!value || value->empty()) continue;
    if (auto s = config.set(r.var, std::move(*value)); !s) return std::move(s.error());
  }
  if (auto s = check_spelling(); !s) return std::move(s.error());
  return config;
}

Status Config::set(Var var, std::string value, std::string source) {
  if (source.empty()) source = row(var).name;
  if (auto s = check_value(row(var), value, source); !s) return s;
  values_[index(var)] = std::move(value);
  sources_[index(var)] = std::move(source);
  set_[index(var)] = true;
  return {};
}

bool Config::is_set(Var var) const { return set_[index(var)]; }
const std::string& Config::source(Var var) const { return sources_[index(var)]; }
const std::string& Config::text(Var var) const { return values_[index(var)]; }

long long Config::integer(Var var) const {
  if (row(var).kind == Kind::bytes) {
    auto bytes = parse_bytes(text(var));
    return bytes ? static_cast<long long>(*bytes) : 0;
  }
  long long number = 0;
  parse_number(std::string_view(text(var)), number);
  return number;
}

double Config::seconds(Var var) const {
  double number = 0;
  parse_number(std::string_view(text(var)), number);
  return number;
}

bool Config::flag(Var var) const { return text(var) == "1"; }

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const auto comma = text.find(',');
    words.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  }
  return words;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  std::uint64_t number = 0;
  std::string_view unit = digits == std::string_view::npos ? "" : text.substr(digits);
  if (!parse_number(text.substr(0, digits), number))
    return Error(Code::invalid_argument, fmt::format("\"{}\" is not a size such as 4096, 64K or 8M", text));
  if (unit.ends_with("iB"))
    unit.remove_suffix(2);
  else if (unit.ends_with("B"))
    unit.remove_suffix(1);
  constexpr std::string_view kUnits = "KMGT";
  int shift = 0;
  if (!unit.empty()) {
    const auto at = unit.size() == 1 ? kUnits.find(static_cast<char>(unit[0] & ~0x20)) : std::string_view::npos;
    if (at == std::string_view::npos)
      return Error(Code::invalid_argument,
                   fmt::format("\"{}\": \"{}\" is no unit; write a whole number of bytes, K, M, G or T, such as 4096, 64K or 8M",
                               text, unit));
    shift = static_cast<int>(at + 1) * 10;
  }
  if (shift > 0 && number > (UINT64_MAX >> shift))
    return Error(Code::invalid_argument, fmt::format("\"{}\" is more than 64 bits hold", text));
  return number << shift;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits = "BKMGT";
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? std::to_string(bytes) : fmt::format("{}{}", bytes, kUnits[unit]);
}

}  // namespace tutti
