#include "topology/sources/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <span>

#include "core/config.h"
#include "core/spelling.h"
#include "topology/cpus.h"
#include "topology/sources/presets.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

// hwloc's names for the same things are understood, but for "node", which is a host here.
constexpr struct {
  std::string_view word;
  Unit unit;
} kWords[] = {
    {"node", Unit::node},
    {"host", Unit::node},
    {"machine", Unit::node},
    {"package", Unit::package},
    {"pack", Unit::package},
    {"socket", Unit::package},
    {"group", Unit::group},
    {"die", Unit::group},
    {"numa", Unit::numa},
    {"numanode", Unit::numa},
    {"l3", Unit::l3},
    {"l3cache", Unit::l3},
    {"l2", Unit::l2},
    {"l2cache", Unit::l2},
    {"l1", Unit::l1},
    {"l1d", Unit::l1},
    {"l1i", Unit::l1},
    {"l1cache", Unit::l1},
    {"l1dcache", Unit::l1},
    {"l1icache", Unit::l1},
    {"core", Unit::core},
    {"pu", Unit::pu},
    {"pci_switch", Unit::pci_switch},
    {"gpu", Unit::gpu},
    {"nic", Unit::nic},
    {"rail", Unit::rail},
    {"rails", Unit::rail},
};

constexpr std::string_view kKnown = "node, package, numa, l3, core, pu, pci_switch, gpu, nic, torus, fat-tree, rails";
// link and latency are other names for net and net_latency.
constexpr std::array<std::string_view, 12> kOptions{
    "net", "net_latency", "link", "latency", "oversubscription", "pcie", "nvlink", "xgmi", "memory", "gpu_memory", "l3", "l2"};
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::uint64_t kMaxCount = 1'000'000;

Error bad(std::string_view what) { return {Code::invalid_argument, std::string(what)}; }

std::string_view brief(std::string_view word) { return word.substr(0, 60); }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value <= 0) return std::nullopt;
  return value;
}

struct Scale {
  std::string_view unit;
  double factor;
};

// A positive number with one of the units behind it.
std::optional<double> parse_quantity(std::string_view text, std::span<const Scale> scales) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto value = parse_number(text.substr(0, digits));
  if (!value) return std::nullopt;
  for (const Scale& scale : scales) {
    if (text.substr(digits) == scale.unit) return *value * scale.factor;
  }
  return std::nullopt;
}

constexpr std::array<Scale, 6> kRates = {
    {{"GB/s", 1}, {"MB/s", 1e-3}, {"Gb/s", 0.125}, {"Gbit/s", 0.125}, {"Mb/s", 0.125e-3}, {"Mbit/s", 0.125e-3}}};
constexpr std::array<Scale, 3> kTimes = {{{"us", 1}, {"ns", 1e-3}, {"ms", 1e3}}};

Status read_rate(std::string_view key, std::string_view value, double& target) {
  const auto parsed = parse_quantity(value, kRates);
  if (!parsed) return bad(fmt::format("{}={} is no speed; write one like 12.5GB/s or 100Gb/s", key, brief(value)));
  target = *parsed;
  return {};
}

Status read_time(std::string_view key, std::string_view value, double& target) {
  const auto parsed = parse_quantity(value, kTimes);
  if (!parsed) return bad(fmt::format("{}={} is no time; write one like 2us or 800ns", key, brief(value)));
  target = *parsed;
  return {};
}

Status read_size(std::string_view key, std::string_view value, std::uint64_t& target) {
  const auto parsed = parse_bytes(value);
  if (!parsed || *parsed == 0) return bad(fmt::format("{}={} is no size; write one like 32MiB", key, brief(value)));
  target = *parsed;
  return {};
}

constexpr struct {
  std::string_view word;
  Wiring wiring;
} kWirings[] = {
    {"torus", Wiring::torus}, {"fat-tree", Wiring::fat_tree}, {"fat_tree", Wiring::fat_tree}, {"fattree", Wiring::fat_tree}};

// All that may stand before a count or a shape.
std::vector<std::string_view> known_words() {
  std::vector<std::string_view> words;
  for (const auto& known : kWords) words.push_back(known.word);
  for (const auto& known : kWirings) words.push_back(known.word);
  for (const Preset& preset : presets()) words.push_back(preset.name);
  return words;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Result<Description> parse() {
    for (std::string_view word = next_word(); !word.empty(); word = next_word()) {
      if (Status status = read_word(word); !status) return placed(word, status.error().message());
    }
    if (Status status = finish(); !status) return std::move(status.error());
    return std::move(description_);
  }

 private:
  [[nodiscard]] std::size_t place(std::string_view word) const {
    return static_cast<std::size_t>(word.data() - text_.data()) + 1;
  }

  [[nodiscard]] Error placed(std::string_view word, std::string_view what) const {
    return bad(fmt::format("synthetic topology, character {}: {}", place(word), what));
  }

  static Error of_all(std::string_view what) { return bad(fmt::format("synthetic topology: {}", what)); }

  // Up to white space that is in no bracket.
  std::string_view next_word() {
    const std::size_t begin = rest_.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return {};
    rest_.remove_prefix(begin);
    int depth = 0;
    std::size_t end = 0;
    for (; end < rest_.size(); ++end) {
      const char c = rest_[end];
      if (c == '(' || c == '[') ++depth;
      if (c == ')' || c == ']') --depth;
      if (depth <= 0 && kSpace.find(c) != std::string_view::npos) break;
    }
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }

  Status read_word(std::string_view word) {
    if (word.starts_with('[')) return read_attached(word);
    const std::size_t end = std::min(word.find_first_of(":=("), word.size());
    const std::string name = lower(word.substr(0, std::min<std::size_t>(end, 20)));
    if (word.substr(end).starts_with('=')) return read_option(word, word.substr(0, end), word.substr(end + 1));
    for (const auto& known : kWirings) {
      if (name == known.word) return read_wiring(known.wiring, word, word.substr(end));
    }
    if (const Preset* preset = find_preset(name)) return read_preset(*preset, word, word.substr(end));
    const auto unit = find_unit(name);
    if (!unit) return unknown(word, name);
    if (!word.substr(end).starts_with(':')) return bad(fmt::format("\"{}\" has no count; write {}:1", brief(word), name));
    std::string_view rest = word.substr(end);
    auto count = read_count(word, rest);
    if (!count) return std::move(count.error());
    if (Status status = read_attributes(*unit, rest, word); !status) return status;
    return add(*unit, *count, word);
  }

  static Error unknown(std::string_view word, std::string_view name) {
    if (std::ranges::find(kOptions, name) != kOptions.end())
      return bad(fmt::format("\"{}\": {} is an option; write {}=VALUE", brief(word), name, name));
    return bad(fmt::format("\"{}\" is unknown{}; known are {}, the hosts {}, and the options {}", brief(word), meant(name),
                           kKnown, known_hosts(), fmt::join(kOptions, ", ")));
  }

  static std::optional<Unit> find_unit(std::string_view name) {
    const auto found = std::find_if(std::begin(kWords), std::end(kWords), [&](const auto& known) { return known.word == name; });
    if (found == std::end(kWords)) return std::nullopt;
    return found->unit;
  }

  // ":8" at the beginning of `rest`, which is moved behind it.
  static Result<int> read_count(std::string_view word, std::string_view& rest) {
    std::uint64_t count = 0;
    const auto [stop, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), count);
    if (error != std::errc{} || count == 0 || count > kMaxCount) {
      return bad(fmt::format("the count of \"{}\" is not a number from 1 to {}", brief(word), kMaxCount));
    }
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    return static_cast<int>(count);
  }

  static std::string key_of(Unit unit) { return fmt::format("unit {}", static_cast<int>(unit)); }

  // Notes that something is said, and where.
  Status once(const std::string& key, std::string_view what, std::string_view word) {
    const auto [first, fresh] = said_.try_emplace(key, word);
    if (fresh) return {};
    return bad(fmt::format("\"{}\": {} stands twice, first as \"{}\" at character {}", brief(word), what, brief(first->second),
                           place(first->second)));
  }

  Status say_hosts(std::uint64_t hosts, std::string_view word) {
    if (Status status = once("hosts", "the number of hosts", word); !status) return status;
    description_.hosts = static_cast<int>(hosts);
    return {};
  }

  Status say_wiring(Wiring wiring, std::string_view word) {
    if (Status status = once("wiring", "the way hosts are joined", word); !status) return status;
    description_.wiring = wiring;
    return {};
  }

  // ":4x4x2"
  Status read_wiring(Wiring wiring, std::string_view word, std::string_view shape) {
    if (!shape.starts_with(':')) return bad(fmt::format("\"{}\" has no shape; write one like {}:4x4", brief(word), brief(word)));
    shape.remove_prefix(1);
    std::uint64_t hosts = 1;
    for (std::size_t begin = 0; begin <= shape.size();) {
      const std::size_t end = std::min(shape.find('x', begin), shape.size());
      std::uint64_t count = 0;
      const auto [stop, error] = std::from_chars(shape.data() + begin, shape.data() + end, count);
      if (error != std::errc{} || stop != shape.data() + end || count == 0 || count > kMaxCount) {
        return bad(fmt::format("\"{}\": number {} of its shape is not a number from 1 to {}", brief(word),
                               description_.shape.size() + 1, kMaxCount));
      }
      hosts *= count;
      if (hosts > kMaxCount) return bad(fmt::format("\"{}\" is more than {} hosts", brief(word), kMaxCount));
      description_.shape.push_back(static_cast<int>(count));
      begin = end + 1;
    }
    if (description_.shape.size() > kMaxTorusDimensions)
      return bad(fmt::format("\"{}\" has more than {} dimensions", brief(word), kMaxTorusDimensions));
    if (Status status = say_wiring(wiring, word); !status) return status;
    return say_hosts(hosts, word);
  }

  Status read_preset(const Preset& preset, std::string_view word, std::string_view rest) {
    if (Status status = once("preset", "a host by its name", word); !status) return status;
    preset_ = &preset;
    if (rest.empty()) return {};
    if (!rest.starts_with(':')) return bad(fmt::format("\"{}\" is a name; write {}:2 for two of them", brief(word), preset.name));
    auto count = read_count(word, rest);
    if (!count) return std::move(count.error());
    if (!rest.empty()) return bad(fmt::format("\"{}\" has something odd behind its count", brief(word)));
    return say_hosts(static_cast<std::uint64_t>(*count), word);
  }

  // "(size=32MiB memory=8GiB)", also with commas. Attributes that say nothing here (hwloc's indexes=) are passed over.
  Status read_attributes(Unit unit, std::string_view text, std::string_view word) {
    if (text.empty()) return {};
    if (!text.starts_with('(') || !text.ends_with(')'))
      return bad(fmt::format("\"{}\" has something odd behind its count", brief(word)));
    text = text.substr(1, text.size() - 2);
    while (!text.empty()) {
      const std::size_t begin = text.find_first_not_of(" ,\t");
      if (begin == std::string_view::npos) break;
      text.remove_prefix(begin);
      const std::string_view one = text.substr(0, text.find_first_of(" \t"));
      const std::size_t equals = one.find('=');
      if (equals == std::string_view::npos) return bad(fmt::format("\"{}\" has an attribute without a value", brief(word)));
      const std::size_t end = one.starts_with("indexes=") ? one.size() : std::min(one.find(','), one.size());
      if (Status status = read_attribute(unit, one.substr(0, equals), one.substr(equals + 1, end - equals - 1), word); !status)
        return status;
      text.remove_prefix(end);
    }
    return {};
  }

  Status read_attribute(Unit unit, std::string_view key, std::string_view value, std::string_view word) {
    if (key == "size" && unit == Unit::l3) return read_size(key, value, description_.l3_bytes);
    if (key == "size" && unit == Unit::l2) return read_size(key, value, description_.l2_bytes);
    if (key == "memory" && unit == Unit::gpu) return read_size(key, value, description_.gpu_memory);
    if (key == "memory") return read_size(key, value, description_.numa_memory);
    if (key == "size" || key == "indexes" || key == "memorysidecachesize") return {};
    return bad(fmt::format("\"{}\" has the unknown attribute {}", brief(word), brief(key)));
  }

  // hwloc 2's "[numa]" or "[numa(memory=8GiB)]": memory attached to what stands before it.
  Status read_attached(std::string_view word) {
    if (!word.ends_with(']')) return bad(fmt::format("\"{}\" is not closed", brief(word)));
    const std::string_view inside = word.substr(1, word.size() - 2);
    const std::size_t end = std::min(inside.find('('), inside.size());
    if (find_unit(lower(inside.substr(0, std::min<std::size_t>(end, 20)))) != Unit::numa)
      return bad(fmt::format("\"{}\": only [numa] can be attached", brief(word)));
    if (has(Unit::numa)) return bad("numa twice");
    if (has(Unit::core) || has(Unit::pu)) return bad("[numa] cannot stand inside of a core");
    description_.levels.push_back({Unit::numa, 1});
    said_.emplace(key_of(Unit::numa), word);
    return read_attributes(Unit::numa, inside.substr(end), word);
  }

  Status read_option(std::string_view word, std::string_view key, std::string_view value) {
    if (std::ranges::find(kOptions, key) == kOptions.end()) {
      const auto near = nearest(key, kOptions);
      return bad(fmt::format("unknown option {}={}; known are {}", brief(key),
                             near.empty() ? "" : fmt::format(" (is {}= meant?)", near), fmt::join(kOptions, ", ")));
    }
    if (key == "link") key = "net";
    if (key == "latency") key = "net_latency";
    if (Status status = once(std::string(key), "this option", word); !status) return status;
    Description& d = description_;
    if (key == "net") return read_rate(key, value, d.net_gbps);
    if (key == "net_latency") return read_time(key, value, d.net_latency_us);
    if (key == "oversubscription") return read_oversubscription(value);
    if (key == "pcie") return read_rate(key, value, d.pcie_gbps);
    if (key == "nvlink") return read_rate(key, value, d.nvlink_gbps);
    if (key == "xgmi") return read_rate(key, value, d.xgmi_gbps);
    if (key == "memory") return read_size(key, value, d.numa_memory);
    if (key == "gpu_memory") return read_size(key, value, d.gpu_memory);
    if (key == "l3") return read_size(key, value, d.l3_bytes);
    return read_size(key, value, d.l2_bytes);
  }

  Status read_oversubscription(std::string_view value) {
    for (std::size_t begin = 0; begin <= value.size();) {
      const std::size_t end = std::min(value.find('x', begin), value.size());
      const auto number = parse_number(value.substr(begin, end - begin));
      if (!number || *number < 1 || *number > static_cast<double>(kMaxCount) ||
          description_.oversubscription.size() >= kMaxTorusDimensions) {
        return bad(
            fmt::format("oversubscription={} is not how many times less goes up than comes from below: a number from 1, "
                        "or one for each level such as 2x1",
                        brief(value)));
      }
      description_.oversubscription.push_back(*number);
      begin = end + 1;
    }
    return {};
  }

  [[nodiscard]] bool has(Unit unit) const {
    return std::ranges::find(description_.levels, unit, &Count::unit) != description_.levels.end();
  }

  Status add(Unit unit, int count, std::string_view word) {
    if (unit == Unit::node && !description_.levels.empty()) return bad("node (hosts) must come first");
    if (unit == Unit::node) return say_hosts(static_cast<std::uint64_t>(count), word);
    if (unit != Unit::group && unit != Unit::l1) {
      if (Status status = once(key_of(unit), "that kind", word); !status) return status;
    }
    if (unit == Unit::rail) {
      description_.rails = count;
      return say_wiring(Wiring::rails, word);
    }
    for (const auto& [device, number] : {std::pair{Unit::pci_switch, &description_.pci_switches},
                                         {Unit::gpu, &description_.gpus},
                                         {Unit::nic, &description_.nics}}) {
      if (unit == device) {
        *number = count;
        return {};
      }
    }
    if (preset_ != nullptr) return bad(fmt::format("\"{}\": {} says already how a host is built", brief(word), preset_->name));
    if (has(Unit::pu)) return bad(fmt::format("\"{}\" stands inside of pu, the innermost", brief(word)));
    if (has(Unit::core) && unit != Unit::pu) return bad(fmt::format("\"{}\" stands inside of core; only pu may", brief(word)));
    description_.levels.push_back({unit, count});
    return {};
  }

  Status finish() {
    Description& d = description_;
    if (preset_ != nullptr) {
      if (!d.levels.empty())
        return placed(said_.at("preset"),
                      fmt::format("what stands before says already how a host is built, which {} does, too", preset_->name));
      fill_from_preset();
    }
    if (Status status = fill_from_network(); !status) return status;
    if (!has(Unit::core) && !has(Unit::pu)) return of_all("there is no core:N");
    if (!has(Unit::core)) d.levels.back().unit = Unit::core;  // hwloc's "numa:2 pu:4": every PU is a core
    if (!has(Unit::pu)) d.levels.push_back({Unit::pu, 1});
    d.hosts = std::max(d.hosts, 1);
    if (Status status = check_wiring(); !status) return status;
    return check_size();
  }

  // Where the network is what is asked for, its hosts are as small as can be.
  Status fill_from_network() {
    Description& d = description_;
    if (!d.levels.empty() || d.wiring == Wiring::one_switch) return {};
    if (d.wiring == Wiring::rails && d.hosts == 0)
      return placed(said_.at("wiring"),
                    fmt::format("rails:{} does not say which hosts it joins; write node:4 rails:{}, or node:4 core:8 "
                                "nic:{} rails:{} for larger ones",
                                d.rails, d.rails, d.rails, d.rails));
    d.levels.push_back({Unit::core, 1});
    if (d.nics == 0) d.nics = d.rails;
    return {};
  }

  // What is not said otherwise is as the preset says.
  void fill_from_preset() {
    Description& d = description_;
    const Description preset = std::move(*Parser(preset_->host).parse());
    d.levels = preset.levels;
    for (int Description::*count : {&Description::pci_switches, &Description::gpus, &Description::nics}) {
      if (d.*count == 0) d.*count = preset.*count;
    }
    for (double Description::*value : {&Description::net_gbps, &Description::net_latency_us, &Description::pcie_gbps,
                                       &Description::nvlink_gbps, &Description::xgmi_gbps}) {
      if (d.*value == 0) d.*value = preset.*value;
    }
    for (std::uint64_t Description::*size :
         {&Description::numa_memory, &Description::gpu_memory, &Description::l3_bytes, &Description::l2_bytes}) {
      if (d.*size == 0) d.*size = preset.*size;
    }
    if (d.wiring != Wiring::one_switch || d.hosts <= 1) return;
    d.wiring = Wiring::rails;
    d.rails = d.nics;
  }

  [[nodiscard]] Status check_wiring() const {
    const Description& d = description_;
    if (d.wiring == Wiring::rails && d.rails > d.nics) {
      return placed(said_.at("wiring"),
                    fmt::format("rails:{} join NICs, of which a host has {}; write nic:{}", d.rails, d.nics, d.rails));
    }
    if (d.nvlink_gbps > 0 && d.xgmi_gbps > 0)
      return of_all("nvlink= and xgmi= both; GPUs of one host are joined by the one or the other");
    const std::size_t levels = d.wiring == Wiring::rails ? 1 : (d.wiring == Wiring::fat_tree ? d.shape.size() - 1 : 0);
    const std::size_t given = d.oversubscription.size();
    if (given == 0 || (given == 1 && levels > 0) || given == levels) return {};
    return placed(
        said_.at("oversubscription"),
        levels == 0
            ? "oversubscription is of uplinks, and there are none: only rails and a fat-tree of two levels or more have some"
            : fmt::format("{} numbers of oversubscription, but {} of uplinks", given,
                          levels == 1 ? "one level" : fmt::format("{} levels", levels)));
  }

  [[nodiscard]] Status check_size() const {
    const Description& d = description_;
    std::uint64_t product = 1, nodes = 1;  // of one host
    for (const Count& level : d.levels) {
      if (level.unit == Unit::pu) {
        if (static_cast<std::size_t>(level.count) > kMaxCpusPerCore)
          return of_all(fmt::format("pu:{} is more than {} in one core", level.count, kMaxCpusPerCore));
        continue;
      }
      product *= static_cast<std::uint64_t>(level.count);
      nodes += product;
      if (nodes > kMaxTopologyNodes) return of_all(fmt::format("more than {} things in all", kMaxTopologyNodes));
    }
    const auto hosts = static_cast<std::uint64_t>(d.hosts), gpus = static_cast<std::uint64_t>(d.gpus);
    const auto nics = static_cast<std::uint64_t>(d.nics), devices = static_cast<std::uint64_t>(d.pci_switches) + gpus + nics;
    const std::uint64_t switches = d.wiring == Wiring::fat_tree ? d.shape.size() * hosts : nics + 2;  // at most
    if ((nodes + devices + 1) * hosts + switches > kMaxTopologyNodes + 2)
      return of_all(fmt::format("more than {} things in all", kMaxTopologyNodes));
    const std::uint64_t within =
        (d.pcie_gbps > 0 ? devices : 0) + (d.nvlink_gbps > 0 ? gpus : 0) + (d.xgmi_gbps > 0 ? gpus * gpus / 2 : 0);
    const std::uint64_t outside = d.wiring == Wiring::torus ? d.shape.size() : std::max<std::uint64_t>(nics, 1);
    if ((within + outside) * hosts + switches > kMaxTopologyLinks)
      return of_all(fmt::format("more than {} links in all", kMaxTopologyLinks));
    return {};
  }

  const std::string_view text_;
  std::string_view rest_;
  Description description_;
  const Preset* preset_ = nullptr;
  std::map<std::string, std::string_view> said_;  // the word that said it
};

}  // namespace

Result<Description> parse_description(std::string_view text) { return Parser(text).parse(); }

bool is_known_word(std::string_view word) {
  const auto words = known_words();
  return std::ranges::find(words, lower(word)) != words.end();
}

std::string meant(std::string_view word) {
  const std::string name = lower(word);
  const auto near = nearest(name, known_words());
  return near.empty() || near == name ? "" : fmt::format(" (is {} meant?)", near);
}

}  // namespace tutti
