#include "core/file.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>

namespace tutti {

Result<std::string> read_file(const std::string& path, std::uint64_t most_bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string text, block(std::size_t{1} << 16, '\0');
  if (!file) return Error(Code::invalid_argument, system_error(errno, fmt::format("cannot open '{}'", path)).message());
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
    text.append(block, 0, static_cast<std::size_t>(file.gcount()));
    if (text.size() > most_bytes)
      return Error(Code::invalid_argument, fmt::format("'{}' is longer than {} bytes", path, most_bytes));
  }
  if (!file.eof()) return Error(Code::invalid_argument, system_error(errno, fmt::format("cannot read '{}'", path)).message());
  return text;
}

}  // namespace tutti
