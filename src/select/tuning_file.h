// The file in which `tutti tune` keeps what it has measured, for each machine and layout of ranks.
//
//   {"tutti_tuning": 1, "layouts": [
//     {"machine": "1f..", "layout": "9c..", "tutti": "0.1.0", "about": "4 ranks ...",
//      "measured": [["all_reduce", "two_shot", 1, 2, true, 65536, 12.5], ...]}],
//    "hosts": [
//     {"machine": "1f..", "layout": "77..", "tutti": "0.1.0", "transports": [["ucx", 4.1, 11], ["tcp", 12, 3]]}]}
//
// Each measurement is collective, algorithm, pieces, radix, whether it was published, bytes of a block, and microseconds. Of
// transports between hosts it is microseconds of a small message one way, and GB/s of large ones both ways at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "select/measurements.h"
#include "tutti/result.h"

namespace tutti {

inline constexpr std::size_t kMostTuningBytes = 8u << 20;

struct TunedLayout {
  std::uint64_t machine = 0, layout = 0;  // hashes of the machines that the ranks are on, and of how they are spread over them
  std::string version;                    // of tutti: another one may have other algorithms
  std::string about;                      // for people
  std::vector<Measurement> measured;

  friend bool operator==(const TunedLayout&, const TunedLayout&) = default;
  [[nodiscard]] bool same_place(const TunedLayout& other) const {
    return machine == other.machine && layout == other.layout && version == other.version;
  }
};

struct TunedTransport {
  std::string name;
  double us = 0, gbps = 0;
  friend bool operator==(const TunedTransport&, const TunedTransport&) = default;
};

// What carries messages between hosts how fast. `layout` says which ranks share hosts, but nothing of transports.
struct TunedHosts {
  std::uint64_t machine = 0, layout = 0;
  std::string version;
  std::vector<TunedTransport> transports;  // the fastest first; at least one

  friend bool operator==(const TunedHosts&, const TunedHosts&) = default;
  [[nodiscard]] bool same_place(const TunedHosts& other) const {
    return machine == other.machine && layout == other.layout && version == other.version;
  }
  // "measured by tutti tune: ucx 4.1 us and 11 GB/s, tcp 12 us and 3 GB/s"
  [[nodiscard]] std::string to_string() const;
};

struct TuningFile {
  std::vector<TunedLayout> layouts;
  std::vector<TunedHosts> hosts;
  [[nodiscard]] bool empty() const noexcept { return layouts.empty() && hosts.empty(); }

  // Errors name the place: "layouts[0].measured[3]: ...".
  static Result<TuningFile> parse(std::string_view text);
  static Result<TuningFile> read(const std::string& path);
  // Without the oldest layouts, where all would be more than can be read.
  [[nodiscard]] std::string to_json() const;
  // Of the same place and collective, replaces what there is from the smallest to the largest of the new sizes; the newest is the
  // last.
  void put(TunedLayout layout);
  // Replaces what there is of the same place.
  void put(TunedHosts between);
};

// Reads the file, which need not be there yet, and replaces it by what `change` has made of it. Jobs that do so at once wait for
// each other (PATH.lock), and whenever one is killed the file is whole. One that cannot be read stays as it is.
[[nodiscard]] Status update_tuning_file(const std::string& path, const std::function<void(TuningFile&)>& change);

// Where tunings lie that nobody has given a place: tuning.json in $XDG_CACHE_HOME/tutti or ~/.cache/tutti. Empty: there is no
// home.
[[nodiscard]] std::string usual_tuning_path();

}  // namespace tutti
