#include <fmt/format.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "topology/cpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using Json = nlohmann::json;
constexpr int kVersion = 1;

// Refuses text that is deep or has far more values than any topology needs, before a tree of it is made in memory.
class Bounds : public nlohmann::json_sax<Json> {
 public:
  static constexpr int kMaxDepth = 6;
  static constexpr std::size_t kMaxValues = 16 * kMaxTopologyNodes;

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return descend(); }
  bool key(string_t&) override { return true; }
  bool end_object() override { return ascend(); }
  bool start_array(std::size_t) override { return descend(); }
  bool end_array() override { return ascend(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    reason_ = fmt::format("not JSON at byte {}", position);
    return false;
  }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  bool count() {
    if (++values_ <= kMaxValues) return true;
    reason_ = fmt::format("more than {} values", kMaxValues);
    return false;
  }
  bool descend() {
    if (++depth_ <= kMaxDepth) return count();
    reason_ = fmt::format("nested more than {} deep", kMaxDepth);
    return false;
  }
  bool ascend() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  std::size_t values_ = 0;
  std::string reason_;
};

Result<Json> parse_bounded(std::string_view text) {
  if (text.size() > kMaxTopologyBytes)
    return Error(Code::protocol, fmt::format("{} bytes: more than {}", text.size(), kMaxTopologyBytes));
  Bounds bounds;
  if (!Json::sax_parse(text, &bounds)) return Error(Code::protocol, bounds.reason());
  return Json::parse(text, nullptr, false);
}

// Members are optional: absent ones leave the value alone. What is there must be of the right type and range.
Status wrong(std::string_view key, std::string_view expected) {
  return Error(Code::protocol, fmt::format("\"{}\" is not {}", key, expected));
}

Status read(const Json& object, const char* key, std::string& value) {
  const auto member = object.find(key);
  if (member == object.end()) return {};
  if (!member->is_string()) return wrong(key, "text");
  value = member->get<std::string>();
  return {};
}

Status read(const Json& object, const char* key, std::uint64_t& value) {
  const auto member = object.find(key);
  if (member == object.end()) return {};
  if (!member->is_number_unsigned()) return wrong(key, "a number of bytes");
  value = member->get<std::uint64_t>();
  return {};
}

Status read(const Json& object, const char* key, int& value) {
  const auto member = object.find(key);
  if (member == object.end()) return {};
  const bool fits = member->is_number_integer() &&
                    (member->is_number_unsigned() ? member->get<std::uint64_t>() <= std::numeric_limits<int>::max()
                                                  : member->get<std::int64_t>() >= std::numeric_limits<int>::min());
  if (!fits) return wrong(key, "a whole number in range");
  value = member->get<int>();
  return {};
}

Status read(const Json& object, const char* key, bool& value) {
  const auto member = object.find(key);
  if (member == object.end()) return {};
  if (!member->is_boolean()) return wrong(key, "true or false");
  value = member->get<bool>();
  return {};
}

Status read(const Json& object, const char* key, double& value) {
  const auto member = object.find(key);
  if (member == object.end()) return {};
  if (!member->is_number()) return wrong(key, "a number");
  value = member->get<double>();
  return {};
}

Status read(const Json& object, const char* key, std::vector<int>& cpus, std::size_t limit) {
  std::string text;
  if (Status status = read(object, key, text); !status) return status;
  auto parsed = parse_cpus(text, limit);
  if (!parsed) return wrong(key, "an ascending list of PU numbers like \"0-3,8\"");
  cpus = std::move(*parsed);
  return {};
}

// An enum by its name; `count` values from 0.
template <class E>
Status read_name(const Json& object, const char* key, int count, E& value) {
  std::string text;
  if (Status status = read(object, key, text); !status) return status;
  for (int i = 0; i < count; ++i) {
    if (name(static_cast<E>(i)) != text) continue;
    value = static_cast<E>(i);
    return {};
  }
  return Error(Code::protocol, fmt::format("unknown {} \"{}\"", key, text.substr(0, 40)));
}

template <class... Reads>
Status all(Reads&&... reads) {
  Status result;
  static_cast<void>((static_cast<bool>(result = reads()) && ...));
  return result;
}

Result<Node> read_node(const Json& object) {
  if (!object.is_object()) return Error(Code::protocol, "is not an object");
  Node node;
  Status status =
      all([&] { return read_name(object, "kind", kNodeKinds, node.kind); }, [&] { return read(object, "parent", node.parent); },
          [&] { return read(object, "name", node.name); }, [&] { return read(object, "cpus", node.cpus, kMaxCpusPerCore); },
          [&] { return read(object, "memory_bytes", node.memory_bytes); },
          [&] { return read(object, "cache_bytes", node.cache_bytes); },
          [&] { return read(object, "pci_bus_id", node.pci_bus_id); }, [&] { return read(object, "cpu_quota", node.cpu_quota); },
          [&] { return read(object, "memory_limit_bytes", node.memory_limit_bytes); },
          [&] { return read(object, "virtual_machine", node.virtual_machine); });
  if (!status) return std::move(status.error());
  return node;
}

Result<Link> read_link(const Json& object) {
  if (!object.is_object()) return Error(Code::protocol, "is not an object");
  Link link;
  Status status = all([&] { return read(object, "a", link.a); }, [&] { return read(object, "b", link.b); },
                      [&] { return read_name(object, "kind", kLinkKinds, link.kind); },
                      [&] { return read_name(object, "origin", kOrigins, link.origin); },
                      [&] { return read(object, "bandwidth_gbps", link.bandwidth_gbps); },
                      [&] { return read(object, "latency_us", link.latency_us); });
  if (!status) return std::move(status.error());
  return link;
}

// Reads the array `key` element by element into `values`.
template <class T>
Status read_array(const Json& root, const char* key, Result<T> (*read_one)(const Json&), std::vector<T>& values) {
  const auto array = root.find(key);
  if (array == root.end() || !array->is_array())
    return Error(Code::protocol, fmt::format("\"{}\" is not there or no array", key));
  values.reserve(array->size());
  for (const Json& element : *array) {
    auto value = read_one(element);
    if (!value) return value.because(fmt::format("\"{}\"[{}]", key, values.size()));
    values.push_back(std::move(*value));
  }
  return {};
}

Json write_node(const Node& node) {
  Json object = {{"kind", name(node.kind)}};
  if (node.parent != kNoNode) object["parent"] = node.parent;
  if (!node.name.empty()) object["name"] = node.name;
  if (!node.cpus.empty()) object["cpus"] = format_cpus(node.cpus);
  if (node.memory_bytes != 0) object["memory_bytes"] = node.memory_bytes;
  if (node.cache_bytes != 0) object["cache_bytes"] = node.cache_bytes;
  if (!node.pci_bus_id.empty()) object["pci_bus_id"] = node.pci_bus_id;
  if (node.cpu_quota != 0) object["cpu_quota"] = node.cpu_quota;
  if (node.memory_limit_bytes != 0) object["memory_limit_bytes"] = node.memory_limit_bytes;
  if (!node.virtual_machine.empty()) object["virtual_machine"] = node.virtual_machine;
  return object;
}

Json write_link(const Link& link) {
  Json object = {{"a", link.a}, {"b", link.b}, {"kind", name(link.kind)}, {"origin", name(link.origin)}};
  if (link.bandwidth_gbps != 0) object["bandwidth_gbps"] = link.bandwidth_gbps;
  if (link.latency_us != 0) object["latency_us"] = link.latency_us;
  return object;
}

// Names may hold bytes that are no UTF-8; they are replaced, not refused.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string to_json(const Topology& topology) {
  Json root = {{"tutti_topology", kVersion}, {"nodes", Json::array()}, {"links", Json::array()}};
  for (const Node& node : topology.nodes) root["nodes"].push_back(write_node(node));
  for (const Link& link : topology.links) root["links"].push_back(write_link(link));
  return dump(root);
}

Result<Topology> topology_from_json(std::string_view text) {
  auto root = parse_bounded(text);
  if (!root) return root.because("topology JSON");
  int version = 0;
  if (!root->is_object() || !root->contains("tutti_topology")) {
    return Error(Code::protocol, "topology JSON: no object with \"tutti_topology\", so not a topology of tutti");
  }
  if (!read(*root, "tutti_topology", version) || version != kVersion) {
    return Error(Code::protocol, fmt::format("topology JSON: version {}, but only version {} is read", version, kVersion));
  }
  Topology topology;
  Status status = all([&] { return read_array(*root, "nodes", read_node, topology.nodes); },
                      [&] { return read_array(*root, "links", read_link, topology.links); });
  if (!status) return status.because("topology JSON");
  if (Status valid = check(topology); !valid) return Error(Code::protocol, "topology JSON: " + valid.error().message());
  return topology;
}

std::string to_json(const RankLocation& location) {
  Json object = {{"host", location.host}, {"cpus", format_cpus(location.cpus)}};
  if (location.package >= 0) object["package"] = location.package;
  if (location.numa >= 0) object["numa"] = location.numa;
  if (location.l3 >= 0) object["l3"] = location.l3;
  if (location.core >= 0) object["core"] = location.core;
  if (location.oversubscribed) object["oversubscribed"] = true;
  return dump(object);
}

Result<RankLocation> location_from_json(std::string_view text) {
  auto object = parse_bounded(text);
  if (!object) return object.because("rank location");
  if (!object->is_object()) return Error(Code::protocol, "rank location: is not an object");
  RankLocation location;
  Status status =
      all([&] { return read(*object, "host", location.host); }, [&] { return read(*object, "package", location.package); },
          [&] { return read(*object, "numa", location.numa); }, [&] { return read(*object, "l3", location.l3); },
          [&] { return read(*object, "core", location.core); },
          [&] { return read(*object, "oversubscribed", location.oversubscribed); },
          [&] { return read(*object, "cpus", location.cpus, kMaxCpu); });
  if (!status) return status.because("rank location");
  const bool valid =
      location.host >= 0 && location.package >= -1 && location.numa >= -1 && location.l3 >= -1 && location.core >= -1;
  if (!valid) return Error(Code::protocol, "rank location: a number below -1, or a host below 0");
  return location;
}

}  // namespace tutti
