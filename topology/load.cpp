#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "core/file.h"
#include "topology/sources/description.h"
#include "topology/sources/hwloc_xml.h"
#include "topology/sources/nccl_xml.h"
#include "topology/sources/presets.h"
#include "topology/sources/synthetic.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

std::string_view without_leading_space(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

Result<Topology> from_xml(std::string_view text) {
  auto document = parse_xml(text);
  if (!document) return document.because("XML");
  const std::string& root = document->root().name;
  if (root == "topology" || root == "root") return topology_from_hwloc(*document, Origin::file);  // hwloc 0.9 said "root"
  if (root == "system") return topology_from_nccl(*document);
  return Error(Code::protocol,
               fmt::format("XML with the root <{}>, which is neither hwloc's (<topology>) nor NCCL's (<system>)", root));
}

Result<Topology> from_content(std::string_view content) {
  const std::string_view text = without_leading_space(content);
  if (text.empty()) return Error(Code::protocol, "is empty");
  if (text.starts_with('<')) return from_xml(text);
  if (text.starts_with('{')) return topology_from_json(text);
  return topology_from_synthetic(text);
}

// Only regular files: a pipe could keep us waiting for ever.
Result<std::string> read_regular(const std::string& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return Error(Code::invalid_argument, "is not a regular file");
  if (static_cast<std::uint64_t>(status.st_size) > kMaxTopologyBytes) {
    return Error(Code::invalid_argument,
                 fmt::format("has {} bytes, more than the {} allowed", status.st_size, kMaxTopologyBytes));
  }
  return read_file(path, kMaxTopologyBytes);
}

Result<Topology> from_file(const std::string& path, const struct stat& status) {
  const std::string context = fmt::format("topology file '{}'", path);
  auto content = read_regular(path, status);
  if (!content) return content.because(context);
  auto topology = from_content(*content);
  if (!topology) return topology.because(context);
  return topology;
}

}  // namespace

Result<Topology> load_topology(std::string_view file_or_spec) {
  const std::string_view text = without_leading_space(file_or_spec);
  if (text.empty())
    return Error(Code::invalid_argument, "topology: an empty name; give a file or a description like \"node:4 numa:2 core:8\"");
  if (file_or_spec.size() > kMaxTopologyBytes) return Error(Code::invalid_argument, "topology: the description is too long");
  if (text.starts_with('<') || text.starts_with('{')) return from_content(text);

  const std::string path(file_or_spec);
  struct stat status {};
  if (path.find('\0') == std::string::npos && ::stat(path.c_str(), &status) == 0) return from_file(path, status);
  const int why = errno;
  // No blank and no count: it was meant as a file.
  const std::string_view word = text.substr(0, text.find_first_of(" \t\r\n"));
  const bool known = is_known_word(word);
  const bool like_file = !known && (text.find(':') == std::string_view::npos || text.find('/') < text.find(':'));
  if (like_file && text.find('=') == std::string_view::npos) {
    auto error = system_error(why, fmt::format("topology file '{}'", path.substr(0, 200)));
    return std::move(error).because(
        fmt::format("neither a file nor a description like \"node:4 numa:2 core:8\", nor a host known by name{}: {}", meant(word),
                    known_hosts()));
  }
  return topology_from_synthetic(text);
}

}  // namespace tutti
