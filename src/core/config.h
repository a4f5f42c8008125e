// The one table of TUTTI_ variables and the only getenv of the project.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti {

enum class Kind : std::uint8_t { text, integer, bytes, seconds, flag, choice };

enum class Var : std::uint8_t {
  rank,
  size,
  rendezvous,
  secret,
  interface,
  transport,
  algorithm,
  algorithm_filter,
  order,
  accumulate,
  schedules,
  plugins,
  prove_ranks,
  timeout,
  log,
  log_file,
  topology,
  memory_limit,
  shm_bytes,
  tcp_sockets,
  ib_devices,
  ib_gid_index,
  ib_timeout,
  ib_retry,
  ib_service_level,
  ib_traffic_class,
  ib_ring,
  cma,
  adopt,
  adopt_bytes,
  spin_us,
  calibrate,
  tuning,
  mpi,
  mpi_report,
  mpi_check,
  nccl_version,
  cuda,
};

struct ConfigRow {
  Var var;
  std::string_view name;
  Kind kind;
  std::string_view default_value;  // empty: unset
  std::string_view choices;        // Kind::choice: "a|b|c"
  std::string_view help;
  std::uint64_t least = 0, most = INT64_MAX;  // Kind::integer, Kind::bytes
};
[[nodiscard]] std::span<const ConfigRow> config_table() noexcept;

// The value of a foreign variable (a launcher's), or nothing.
[[nodiscard]] std::optional<std::string> environment(const char* name);

// All values, parsed and checked. A bad value is an error that names the variable, the value and what is expected;
// so is an unknown TUTTI_ variable that looks like a typing error of a known one.
class Config {
 public:
  static Result<Config> from_environment();

  [[nodiscard]] bool is_set(Var var) const;
  [[nodiscard]] const std::string& text(Var var) const;  // default when unset
  [[nodiscard]] long long integer(Var var) const;        // integer, bytes
  [[nodiscard]] double seconds(Var var) const;
  [[nodiscard]] bool flag(Var var) const;
  // What gave the value, for errors: the variable, or what set() was told.
  [[nodiscard]] const std::string& source(Var var) const;
  // For programs that override a variable by an option of their own, which errors shall name. Checked like the environment.
  Status set(Var var, std::string value, std::string source = {});

 private:
  std::vector<std::string> values_, sources_;
  std::vector<bool> set_;
};

// "a,b": the words between commas; one that ends the text is not followed by another word.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

// "4K", "1MiB", "8388608": binary multiples. For options and variables alike.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

}  // namespace tutti
