// What ranks send each other, as JSON. A peer's text may be anything.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "doctor/job.h"
#include "transports/registry.h"

namespace tutti::doctor {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string text_of(const Json& object, const char* key) { return printable(object.at(key).get<std::string>()); }

verbs::Fabric fabric_named(const std::string& text) {
  using enum verbs::Fabric;
  for (const verbs::Fabric fabric : {infiniband, roce_ipv4, roce_ipv6, roce_v1})
    if (verbs::kind(fabric) == text) return fabric;
  throw std::domain_error("no kind of port");
}

PortFacts read_port(const Json& json) {
  const auto bits = json.at("network_bits").get<int>();
  if (bits < 0 || bits > 128) throw std::domain_error("no network");
  verbs::PortSummary summary{.fabric = fabric_named(text_of(json, "kind")),
                             .near = static_cast<std::uint8_t>(json.at("near").get<bool>()),
                             .network_bits = static_cast<std::uint8_t>(bits),
                             .megabits = json.at("megabits").get<std::uint32_t>()};
  summary.gid = json.at("gid").get<std::array<std::uint8_t, 16>>();
  return {text_of(json, "name"), summary, json.at("mtu").get<int>()};
}

Facts read_facts(const Json& json) {
  Facts facts;
  facts.host = text_of(json, "host");
  facts.kernel = text_of(json, "kernel");
  facts.network = text_of(json, "network");
  facts.cpus = json.at("cpus").get<std::vector<int>>();
  facts.cores = json.at("cores").get<std::vector<std::vector<int>>>();
  facts.interface = text_of(json, "interface");
  facts.address = text_of(json, "address");
  facts.megabits = json.at("megabits").get<double>();
  facts.mtu = json.at("mtu").get<int>();
  for (const Json& transport : json.at("transports")) facts.transports.push_back(printable(transport.get<std::string>()));
  for (const Json& port : json.at("ports")) facts.ports.push_back(read_port(port));
  if (facts.transports.size() > transport_table().size() || facts.ports.size() > verbs::kMostRails)
    throw std::domain_error("too many");
  facts.no_ports = text_of(json, "no_ports");
  for (const auto& [key, value] : json.at("settings").items())
    facts.settings[printable(key)] = printable(value.get<std::string>());
  facts.port = json.at("port").get<int>();
  facts.token = text_of(json, "token");
  for (const Json& other : json.at("others"))
    facts.others.emplace_back(printable(other.at(0).get<std::string>()), printable(other.at(1).get<std::string>()));
  if (!std::ranges::is_sorted(facts.cpus) || facts.port < 0 || facts.port > 65535) throw std::domain_error("out of range");
  return facts;
}

Visit read_visit(const Json& json) {
  Visit visit;
  auto findings = findings_from_json(json.at("findings"));
  if (!findings) throw std::domain_error(findings.error().to_string());
  visit.findings = std::move(*findings);
  for (const Json& r : json.at("reaches"))
    visit.reaches.push_back(
        {r.at("from").get<int>(), r.at("to").get<int>(), text_of(r, "interface"), text_of(r, "address"), text_of(r, "failure")});
  return visit;
}

template <class T>
Result<T> parse(std::string_view text, T (*read)(const Json&)) {
  try {
    return read(Json::parse(text));
  } catch (const std::exception& e) {  // nlohmann's own, and ours
    return Error(Code::protocol, std::string("what a rank tells about itself does not parse: ") + e.what());
  }
}

}  // namespace

std::string to_json(const Facts& f) {
  Json others = Json::array();
  for (const auto& [interface, address] : f.others) others.push_back({interface, address});
  Json ports = Json::array();
  for (const PortFacts& p : f.ports)
    ports.push_back({{"name", p.name},
                     {"kind", verbs::kind(p.summary.fabric)},
                     {"near", p.summary.near != 0},
                     {"network_bits", p.summary.network_bits},
                     {"megabits", p.summary.megabits},
                     {"gid", p.summary.gid},
                     {"mtu", p.mtu}});
  return dump({{"host", f.host},
               {"kernel", f.kernel},
               {"network", f.network},
               {"cpus", f.cpus},
               {"cores", f.cores},
               {"interface", f.interface},
               {"address", f.address},
               {"megabits", f.megabits},
               {"mtu", f.mtu},
               {"transports", f.transports},
               {"ports", ports},
               {"no_ports", f.no_ports},
               {"settings", f.settings},
               {"port", f.port},
               {"token", f.token},
               {"others", others}});
}

std::string to_json(const Visit& visit) {
  Json reaches = Json::array();
  for (const Reach& r : visit.reaches)
    reaches.push_back(
        {{"from", r.from}, {"to", r.to}, {"interface", r.interface}, {"address", r.address}, {"failure", r.failure}});
  return dump({{"findings", to_json(visit.findings)}, {"reaches", reaches}});
}

Result<Facts> facts_from_json(std::string_view text) { return parse(text, read_facts); }
Result<Visit> visit_from_json(std::string_view text) { return parse(text, read_visit); }

}  // namespace tutti::doctor
