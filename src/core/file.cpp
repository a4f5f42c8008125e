#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/clock.h"

namespace tutti {
namespace {

Error cannot_write(const std::string& path) { return system_error(errno, "cannot write " + path); }

// What is at the end of a path, links followed.
struct Place {
  explicit Place(const std::string& path) : exists(::stat(path.c_str(), &status) == 0) {}
  // The descriptor of standard output or error that goes there; -1: neither does.
  [[nodiscard]] int output() const {
    struct stat open {};
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
      if (exists && ::fstat(fd, &open) == 0 && open.st_dev == status.st_dev && open.st_ino == status.st_ino) return fd;
    return -1;
  }
  [[nodiscard]] bool can_be_replaced() const { return !exists || (S_ISREG(status.st_mode) && output() < 0); }

  struct stat status {};
  bool exists;
};

Status write_all(Fd fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const auto written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) return cannot_write(path);
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::close(fd.release()) == 0 ? Status{} : cannot_write(path);  // file systems of a network may say it here only
}

Status write_in_place(const std::string& path, std::string_view text) {
  if (const int output = Place(path).output(); output >= 0) {  // after what was printed there, not over it
    std::fflush(stdout);
    return write_all(Fd(::dup(output)), text, path);
  }
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  return fd ? write_all(std::move(fd), text, path) : cannot_write(path);
}

// A new file next to another one.
struct Beside {
  std::string path;
  Fd fd;

  explicit Beside(const std::string& target) {
    for (int n = 0; n == 0 || (!fd && errno == EEXIST); ++n) {  // what a process of this number has left
      path = fmt::format("{}.{}.{}", target, ::getpid(), n);
      fd.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    }
  }
};

}  // namespace

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

Result<std::string> read_regular_file(const std::string& path, std::uint64_t most_bytes) {
  const Place place(path);
  if (place.exists && !S_ISREG(place.status.st_mode))
    return Error(Code::invalid_argument, fmt::format("'{}' is not a regular file", path));
  return read_file(path, most_bytes);
}

Status replace_file(const std::string& path, std::string_view text) {
  const Place place(path);
  if (!place.can_be_replaced()) return write_in_place(path, text);
  std::error_code none;
  const std::string target = place.exists ? std::filesystem::canonical(path, none).string() : path;  // a link stays one
  Beside beside(target);
  if (!beside.fd) {  // who may not write into the folder may still write the file; a full disk must not empty it
    const bool not_allowed = errno == EACCES || errno == EPERM || errno == EROFS;
    return place.exists && not_allowed ? write_in_place(path, text) : cannot_write(path);
  }
  if (place.exists) (void)::fchmod(beside.fd.get(), place.status.st_mode & 07777);
  auto written = write_all(std::move(beside.fd), text, path);
  if (written && std::rename(beside.path.c_str(), target.c_str()) == 0) return written;
  const int why = errno;
  (void)std::remove(beside.path.c_str());
  if (written && why == EBUSY) return write_in_place(path, text);  // one that is mounted by itself, as into a container
  return written ? Status(system_error(why, "cannot write " + path)) : std::move(written);
}

Status check_writable(const std::string& path) {
  const Place place(path);
  const bool may = !place.exists || ::access(path.c_str(), W_OK) == 0;
  if (!may || S_ISDIR(place.status.st_mode)) {
    if (may) errno = EISDIR;
    return cannot_write(path);
  }
  if (S_ISCHR(place.status.st_mode)) return write_in_place(path, "\n");  // /dev/full says only then that it is full
  if (place.exists) return {};
  const Beside beside(path);
  if (!beside.fd) return cannot_write(path);
  (void)std::remove(beside.path.c_str());
  return {};
}

Result<Fd> lock_file(const std::string& path, double wait_seconds) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd) return system_error(errno, "cannot open " + path);
  const TimePoint start = Clock::now();
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
    if (seconds_since(start) > wait_seconds)
      return Error(Code::timeout, fmt::format("{} has been held by another process for {} s", path, wait_seconds));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fd;
}

}  // namespace tutti
