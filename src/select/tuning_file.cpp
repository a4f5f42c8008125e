#include "select/tuning_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/config.h"
#include "core/file.h"

namespace tutti {
namespace {

using nlohmann::json;

constexpr std::uint32_t kMostParameter = 1u << 20;  // of pieces and radix
constexpr double kMostUs = 1e12, kMostGbps = 1e6;
constexpr std::size_t kMostTransports = 16, kMostName = 64;
constexpr std::size_t kRoomForHosts = 1u << 20, kRoomForLayouts = kMostTuningBytes - kRoomForHosts - 256;

std::string hex(std::uint64_t number) { return fmt::format("{:016x}", number); }

bool from_hex(const json& field, std::uint64_t& number) {
  if (!field.is_string()) return false;
  const auto& text = field.get_ref<const std::string&>();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

Error bad(const std::string& where, std::string_view what) { return {Code::protocol, fmt::format("{}: {}", where, what)}; }

bool is_parameter(const json& field) {
  return field.is_number_unsigned() && field.get<std::uint64_t>() >= 1 && field.get<std::uint64_t>() <= kMostParameter;
}

Result<Measurement> measurement_from(const json& row, const std::string& where) {
  if (!row.is_array() || row.size() != 7) return bad(where, "is not a list of 7 fields");
  const auto collective = row[0].is_string() ? parse_collective(row[0].get_ref<const std::string&>()) : std::nullopt;
  if (!collective) return bad(where, fmt::format("there is no collective {}", row[0].dump()));
  if (!row[1].is_string()) return bad(where, "the second field is not the name of an algorithm");
  if (!is_parameter(row[2]) || !is_parameter(row[3])) return bad(where, "pieces and radix are not whole numbers of 1 or more");
  if (!row[4].is_boolean()) return bad(where, "the fifth field (published) is not true or false");
  if (!row[5].is_number_unsigned()) return bad(where, "bytes are not a whole number");
  const double us = row[6].is_number() ? row[6].get<double>() : 0;
  if (!(us > 0) || us > kMostUs) return bad(where, fmt::format("{} is not a time in microseconds", row[6].dump()));
  return Measurement{
      {*collective, row[1].get<std::string>(), {row[2].get<std::uint32_t>(), row[3].get<std::uint32_t>()}, row[4].get<bool>()},
      row[5].get<std::uint64_t>(),
      us};
}

// Reads what all entries begin with.
template <class Entry>
Status read_place(const json& entry, const std::string& where, Entry& place) {
  if (!entry.is_object()) return bad(where, "is not an object");
  const auto field = [&](const char* name) { return entry.value(name, json()); };
  if (!from_hex(field("machine"), place.machine)) return bad(where + ".machine", "is not a hexadecimal number");
  if (!from_hex(field("layout"), place.layout)) return bad(where + ".layout", "is not a hexadecimal number");
  if (!field("tutti").is_string()) return bad(where + ".tutti", "is not a version");
  place.version = field("tutti").template get<std::string>();
  return {};
}

Result<TunedLayout> layout_from(const json& entry, const std::string& where) {
  TunedLayout layout;
  if (Status read = read_place(entry, where, layout); !read) return std::move(read.error());
  const auto field = [&](const char* name) { return entry.value(name, json()); };
  if (field("about").is_string()) layout.about = field("about").get<std::string>();
  const json rows = field("measured");
  if (!rows.is_array()) return bad(where + ".measured", "is not a list");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto one = measurement_from(rows[i], fmt::format("{}.measured[{}]", where, i));
    if (!one) return std::move(one.error());
    layout.measured.push_back(std::move(*one));
  }
  return layout;
}

bool is_amount(const json& field, double most) {
  return field.is_number() && field.get<double>() > 0 && field.get<double>() <= most;
}

Result<TunedHosts> hosts_from(const json& entry, const std::string& where) {
  TunedHosts hosts;
  if (Status read = read_place(entry, where, hosts); !read) return std::move(read.error());
  const json rows = entry.value("transports", json());
  if (!rows.is_array() || rows.empty() || rows.size() > kMostTransports)
    return bad(where + ".transports", fmt::format("is not a list of 1 to {} transports", kMostTransports));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const json& row = rows[i];
    const bool sound = row.is_array() && row.size() == 3 && row[0].is_string() &&
                       row[0].get_ref<const std::string&>().size() <= kMostName && is_amount(row[1], kMostUs) &&
                       is_amount(row[2], kMostGbps);
    if (!sound) return bad(fmt::format("{}.transports[{}]", where, i), "is not a name, microseconds and GB/s");
    hosts.transports.push_back({row[0].get<std::string>(), row[1].get<double>(), row[2].get<double>()});
  }
  return hosts;
}

// Whatever bytes a file name has.
std::string quoted(const std::string& text) { return json(text).dump(-1, ' ', false, json::error_handler_t::replace); }

std::string to_text(const TunedLayout& l) {
  std::string rows;
  for (const auto& [variant, bytes, us] : l.measured)
    rows += fmt::format("{}\n   [\"{}\", {}, {}, {}, {}, {}, {}]", rows.empty() ? "" : ",", name(variant.collective),
                        quoted(variant.algorithm), variant.chunking.pieces, variant.chunking.radix, variant.published, bytes, us);
  return fmt::format(" {{\"machine\": \"{}\", \"layout\": \"{}\", \"tutti\": {}, \"about\": {},\n  \"measured\": [{}]}}",
                     hex(l.machine), hex(l.layout), quoted(l.version), quoted(l.about), rows);
}

std::string to_text(const TunedHosts& h) {
  std::string rows;
  for (const auto& [name, us, gbps] : h.transports)
    rows += fmt::format("{}[{}, {}, {}]", rows.empty() ? "" : ", ", quoted(name), us, gbps);
  return fmt::format(" {{\"machine\": \"{}\", \"layout\": \"{}\", \"tutti\": {}, \"transports\": [{}]}}", hex(h.machine),
                     hex(h.layout), quoted(h.version), rows);
}

// The newest ones, as many as there is room for, in the order they have.
template <class Entry>
std::vector<std::string> texts_of(const std::vector<Entry>& entries, std::size_t room) {
  std::vector<std::string> texts;
  for (std::size_t first = entries.size(); first > 0; --first) {
    std::string text = to_text(entries[first - 1]);
    if (text.size() + 2 > room) break;
    room -= text.size() + 2;
    texts.insert(texts.begin(), std::move(text));
  }
  return texts;
}

}  // namespace

Result<TuningFile> TuningFile::parse(std::string_view text) {
  if (text.size() > kMostTuningBytes)
    return Error(Code::protocol, fmt::format("{} bytes are too many for a tuning file", text.size()));
  json file;
  try {
    file = json::parse(text);
  } catch (const json::exception& e) {
    return Error(Code::protocol, fmt::format("this is not JSON, or not all of it: {}", e.what()));
  }
  if (!file.is_object() || file.value("tutti_tuning", json()) != 1)
    return Error(Code::protocol, "this is not a tuning file: it lacks \"tutti_tuning\": 1");
  const json layouts = file.value("layouts", json());
  if (!layouts.is_array()) return bad("layouts", "is not a list");
  TuningFile result;
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    auto layout = layout_from(layouts[i], fmt::format("layouts[{}]", i));
    if (!layout) return std::move(layout.error());
    result.layouts.push_back(std::move(*layout));
  }
  const json hosts = file.value("hosts", json::array());  // files of earlier runs have none
  if (!hosts.is_array()) return bad("hosts", "is not a list");
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    auto one = hosts_from(hosts[i], fmt::format("hosts[{}]", i));
    if (!one) return std::move(one.error());
    result.hosts.push_back(std::move(*one));
  }
  return result;
}

Result<TuningFile> TuningFile::read(const std::string& path) {
  auto text = read_regular_file(path, kMostTuningBytes);
  if (!text) return Error(Code::environment, fmt::format("cannot read the tuning file '{}': {}", path, text.error().message()));
  auto file = parse(*text);
  if (!file) return Error(Code::environment, fmt::format("tuning file '{}': {}", path, file.error().to_string()));
  return file;
}

std::string TuningFile::to_json() const {
  return fmt::format("{{\"tutti_tuning\": 1, \"layouts\": [\n{}],\n\"hosts\": [\n{}]}}\n",
                     fmt::join(texts_of(layouts, kRoomForLayouts), ",\n"), fmt::join(texts_of(hosts, kRoomForHosts), ",\n"));
}

std::string usual_tuning_path() {
  if (const auto cache = environment("XDG_CACHE_HOME"); cache && cache->starts_with('/')) return *cache + "/tutti/tuning.json";
  const auto home = environment("HOME");
  return home && !home->empty() ? *home + "/.cache/tutti/tuning.json" : "";
}

Status update_tuning_file(const std::string& path, const std::function<void(TuningFile&)>& change) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return Error(Code::environment, fmt::format("'{}' is not a regular file: name another one with --output", path));
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);  // what prevents it prevents the next step, too
  auto lock = lock_file(path + ".lock");
  if (!lock) return lock.because("nothing can be kept there: name another file with --output");
  TuningFile file;
  if (std::filesystem::exists(path, error)) {
    auto before = TuningFile::read(path);
    if (!before) return before.because("what is there would be lost: remove it, or name another file with --output");
    file = std::move(*before);
  }
  change(file);
  if (!file.layouts.empty() && texts_of(file.layouts, kRoomForLayouts).empty())
    return Error(Code::resource, "this is more than a tuning file can hold: measure fewer sizes or collectives");
  return replace_file(path, file.to_json());
}

void TuningFile::put(TunedLayout layout) {
  std::map<Collective, std::pair<std::uint64_t, std::uint64_t>> sizes;  // the smallest and the largest
  for (const Measurement& m : layout.measured) {
    auto& [least, most] = sizes.try_emplace(m.variant.collective, m.block_bytes, m.block_bytes).first->second;
    least = std::min(least, m.block_bytes);
    most = std::max(most, m.block_bytes);
  }
  const auto again = [&](const Measurement& old) {
    const auto found = sizes.find(old.variant.collective);
    return found != sizes.end() && old.block_bytes >= found->second.first && old.block_bytes <= found->second.second;
  };
  for (TunedLayout& old : layouts) {
    if (!old.same_place(layout)) continue;
    std::erase_if(old.measured, again);
    layout.measured.insert(layout.measured.begin(), old.measured.begin(), old.measured.end());
  }
  std::erase_if(layouts, [&](const TunedLayout& l) { return l.same_place(layout); });
  layouts.push_back(std::move(layout));
}

void TuningFile::put(TunedHosts between) {
  std::erase_if(hosts, [&](const TunedHosts& h) { return h.same_place(between); });
  hosts.push_back(std::move(between));
}

std::string TunedHosts::to_string() const {
  std::string text;
  for (const auto& [name, us, gbps] : transports)
    text += fmt::format("{}{} {:.4g} us and {:.4g} GB/s", text.empty() ? "measured by tutti tune: " : ", ", name, us, gbps);
  return text;
}

}  // namespace tutti
