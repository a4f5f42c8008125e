#include "doctor/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "topology/cpus.h"

namespace tutti::doctor {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, kSeverities> kNames{"ok", "note", "warning", "problem"};

std::string where(const Shared& shared) {
  if (shared.ranks.empty()) return shared.host;
  return fmt::format("rank{} {} on {}", shared.ranks.size() == 1 ? "" : "s", format_cpus(shared.ranks), shared.host);
}

std::string text_of(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member == object.end() || !member->is_string() ? "" : printable(member->get<std::string>());
}

Json to_object(const Finding& f) {
  return {{"severity", name(f.severity)}, {"check", f.check}, {"found", f.found},
          {"source", f.source},           {"costs", f.costs}, {"mend", f.mend}};
}

// Bytes that are not UTF-8, in the name of a file say, are replaced.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string_view name(Severity severity) noexcept { return kNames[static_cast<std::size_t>(severity)]; }

std::vector<Shared> merged(std::vector<Shared> findings) {
  std::vector<Shared> result;
  for (Shared& next : findings) {
    const auto same = std::ranges::find_if(
        result, [&](const Shared& other) { return other.finding == next.finding && other.host == next.host; });
    if (same == result.end()) {
      result.push_back(std::move(next));
    } else {
      same->ranks.insert(same->ranks.end(), next.ranks.begin(), next.ranks.end());
    }
  }
  for (Shared& each : result) std::ranges::sort(each.ranks);
  std::ranges::stable_sort(result, std::greater(), [](const Shared& s) { return s.finding.severity; });
  return result;
}

std::string render(const std::vector<Shared>& findings, bool name_ranks) {
  std::string text;
  for (const Shared& each : findings) {
    const Finding& f = each.finding;
    const std::string place = name_ranks ? where(each) : "";
    text += fmt::format("{:<8} {:<14} {}{}\n", name(f.severity), f.check, place.empty() ? "" : place + ": ", f.found);
    const auto line = [&](std::string_view label, const std::string& what) {
      if (!what.empty()) text += fmt::format("{:23} {:<6} {}\n", "", label, what);
    };
    if (f.severity == Severity::ok) continue;
    line("from", f.source);
    line("costs", f.costs);
    line("mend", f.mend);
  }
  const auto several = [](int n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); };
  return text + fmt::format("{}, {}, {}, {} in order\n", several(count(findings, Severity::problem), "problem"),
                            several(count(findings, Severity::warning), "warning"),
                            several(count(findings, Severity::note), "note"), count(findings, Severity::ok));
}

std::string to_json(const std::vector<Shared>& findings) {
  Json list = Json::array();
  for (const Shared& each : findings) {
    Json object = to_object(each.finding);
    object["host"] = each.host;
    object["ranks"] = each.ranks;
    list.push_back(std::move(object));
  }
  return dump({{"tutti_doctor", 1},
               {"problems", count(findings, Severity::problem)},
               {"warnings", count(findings, Severity::warning)},
               {"notes", count(findings, Severity::note)},
               {"findings", std::move(list)}}) +
         "\n";
}

int count(const std::vector<Shared>& findings, Severity severity) {
  return static_cast<int>(std::ranges::count(findings, severity, [](const Shared& s) { return s.finding.severity; }));
}

Json to_json(const Findings& findings) {
  Json list = Json::array();
  for (const Finding& f : findings) list.push_back(to_object(f));
  return list;
}

Result<Findings> findings_from_json(const Json& array) {
  const Error bad(Code::protocol, "findings that do not parse");
  if (!array.is_array()) return bad.clone();
  Findings findings;
  for (const Json& object : array) {
    if (!object.is_object()) return bad.clone();
    const auto severity = std::ranges::find(kNames, text_of(object, "severity"));
    if (severity == kNames.end()) return bad.clone();
    findings.push_back({static_cast<Severity>(severity - kNames.begin()), text_of(object, "check"), text_of(object, "found"),
                        text_of(object, "source"), text_of(object, "costs"), text_of(object, "mend")});
  }
  return findings;
}

}  // namespace tutti::doctor
