#include "tutti/result.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tutti {
namespace {

std::string files_remedy() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const std::string raise =
      files.rlim_cur < files.rlim_max
          ? fmt::format("the hard limit is higher: raise it by `ulimit -n {}` before the start", files.rlim_max)
          : "the hard limit is no higher: an administrator must raise it (limits.conf, LimitNOFILE=, docker --ulimit nofile=)";
  return fmt::format("; the limit of this process is {} open files (ulimit -n), a job takes about 4 per rank and 20 more; {}",
                     files.rlim_cur, raise);
}

std::string memory_remedy() {
  rlimit space{};
  getrlimit(RLIMIT_AS, &space);
  if (space.rlim_cur == RLIM_INFINITY) return "";
  return fmt::format("; the limit of this process is {} KiB of address space (ulimit -v)", space.rlim_cur / 1024);
}

// Which limit was met, and what to do about it.
std::string remedy(int error_number) {
  if (error_number == EMFILE) return files_remedy();
  if (error_number == ENFILE) return "; all processes of this system together have too many (/proc/sys/fs/file-max)";
  if (error_number == ENOMEM) return memory_remedy();
  return "";
}

}  // namespace

std::string_view name(Code code) noexcept {
  constexpr std::array<std::string_view, 11> kNames{"invalid_argument", "mismatch",    "unsupported",     "timeout",
                                                    "peer_lost",        "aborted",     "unauthenticated", "protocol",
                                                    "resource",         "environment", "internal"};
  return kNames[static_cast<std::size_t>(code)];
}

Error::Error(Code code, std::string message, Rank peer) : node_(new Node{code, peer, std::move(message), nullptr}) {}

std::string Error::to_string() const {
  std::string text = node_->message;
  for (const Node* n = node_->cause.get(); n != nullptr; n = n->cause.get()) text += " <- " + n->message;
  return text;
}

Error Error::because(std::string context) && {
  const Code code = node_->code;
  const Rank peer = node_->peer;
  return Error(std::unique_ptr<Node>(new Node{code, peer, std::move(context), std::move(node_)}));
}

Error Error::clone() const {
  std::unique_ptr<Node> head;
  std::unique_ptr<Node>* tail = &head;
  for (const Node* n = node_.get(); n != nullptr; n = n->cause.get()) {
    tail->reset(new Node{n->code, n->peer, n->message, nullptr});
    tail = &(*tail)->cause;
  }
  return Error(std::move(head));
}

Error system_error(int error_number, std::string_view what, Rank peer) {
  std::array<char, 128> buffer{};
  const char* text = strerror_r(error_number, buffer.data(), buffer.size());
  const char* symbol = strerrorname_np(error_number);
  return {Code::resource, fmt::format("{}: {} ({}){}", what, text, symbol != nullptr ? symbol : "?", remedy(error_number)), peer};
}

}  // namespace tutti
