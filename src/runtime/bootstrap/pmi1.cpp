#include "bootstrap/pmi1.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "bootstrap/sockets.h"
#include "core/printable.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxLine = 16384;

std::optional<long long> to_number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The whole line for people, without what could spoil a terminal.
std::string shown(std::string_view line) { return printable(std::string(line.substr(0, 200))); }

}  // namespace

Result<std::unique_ptr<KeyValueStore>> Pmi1Store::open(const Launch& launch, TimePoint deadline) {
  std::unique_ptr<Pmi1Store> store(new Pmi1Store(deadline));
  store->rank_ = launch.rank;
  store->size_ = launch.size;
  if (auto s = store->connect(launch.pmi); !s)
    return s.because(
        "reaching the launcher's PMI server (if its variables are left from a launcher that is gone, unset them; "
        "TUTTI_RENDEZVOUS=host:port does without PMI)");
  if (auto s = store->open_session(); !s) return s.because("greeting the launcher's PMI server");
  return std::unique_ptr<KeyValueStore>(std::move(store));
}

Status Pmi1Store::connect(const PmiContact& contact) {
  if (contact.fd >= 0) {
    // A copy, so that whatever happens here the process's own PMI_FD stays as it was given.
    fd_.reset(fcntl(contact.fd, F_DUPFD_CLOEXEC, 3));
    if (!fd_)
      return Error(Code::environment,
                   fmt::format("PMI_FD={} is no open descriptor: was this program started by something in between that "
                               "closed it?",
                               contact.fd));
    return {};
  }
  auto addresses = resolve(contact.at);
  if (!addresses) return addresses.because("PMI_PORT");
  auto fd = start_connect(addresses->front());
  if (!fd) return std::move(fd.error());
  fd_ = std::move(*fd);
  if (auto s = wait_for(POLLOUT, "connecting"); !s) return s;
  if (const int error = connect_error(fd_.get()); error != 0)
    return system_error(error, fmt::format("connecting to PMI_PORT={}", to_string(contact.at)));
  if (auto hello = ask(fmt::format("cmd=initack pmiid={}", contact.id), "initack"); !hello) return std::move(hello.error());
  for (int i = 0; i < 3; ++i) {  // size, rank, debug
    auto fact = answer("set");
    if (!fact) return std::move(fact.error());
    if (fact->contains("size")) size_ = static_cast<Rank>(to_number((*fact)["size"]).value_or(0));
    if (fact->contains("rank")) rank_ = static_cast<Rank>(to_number((*fact)["rank"]).value_or(kNoRank));
  }
  return {};
}

Status Pmi1Store::open_session() {
  auto hello = ask("cmd=init pmi_version=1 pmi_subversion=1", "response_to_init");
  if (!hello) return std::move(hello.error());
  auto limits = ask("cmd=get_maxes", "maxes");
  if (!limits) return std::move(limits.error());
  key_max_ = static_cast<std::size_t>(to_number((*limits)["keylen_max"]).value_or(0));
  value_max_ = static_cast<std::size_t>(to_number((*limits)["vallen_max"]).value_or(0));
  auto space = ask("cmd=get_my_kvsname", "my_kvsname");
  if (!space) return std::move(space.error());
  space_ = (*space)["kvsname"];
  if (space_.empty()) return Error(Code::protocol, "the launcher's PMI server gave no name of a key-value space");
  if (size_ < 1 || size_ > kMaxRanks || rank_ < 0 || rank_ >= size_)
    return Error(Code::protocol, fmt::format("the launcher's PMI server says that this is rank {} of {}", rank_, size_));
  return {};
}

std::string Pmi1Store::full_key(Rank owner, const std::string& key) const { return fmt::format("tutti-{}-{}", owner, key); }

Status Pmi1Store::put(const std::string& key, const std::string& value) {
  const std::string full = full_key(rank_, key);
  if (full.size() >= key_max_ || value.size() >= value_max_)
    return Error(Code::unsupported,
                 fmt::format("the launcher's PMI store takes keys up to {} and values up to {} bytes; {} needs {} and {}",
                             key_max_, value_max_, key, full.size(), value.size()));
  auto done = ask(fmt::format("cmd=put kvsname={} key={} value={}", space_, full, value), "put_result");
  return done ? Status{} : Status(std::move(done.error()));
}

Status Pmi1Store::fence() {
  auto done = ask("cmd=barrier_in", "barrier_out");
  return done ? Status{} : Status(done.because("waiting for all ranks at the launcher's PMI barrier"));
}

Result<std::string> Pmi1Store::get(Rank owner, const std::string& key) {
  auto found = ask(fmt::format("cmd=get kvsname={} key={}", space_, full_key(owner, key)), "get_result");
  if (!found) return found.because(fmt::format("asking the launcher's PMI store for rank {}'s {}", owner, key));
  return (*found)["value"];
}

Status Pmi1Store::finish() {
  auto done = ask("cmd=finalize", "finalize_ack");
  fd_.reset();
  return done ? Status{} : Status(std::move(done.error()));
}

Result<Pmi1Store::Fields> Pmi1Store::ask(const std::string& line, std::string_view expected) {
  if (auto s = send_line(line + "\n"); !s) return std::move(s.error());
  return answer(expected);
}

Result<Pmi1Store::Fields> Pmi1Store::answer(std::string_view expected) {
  auto line = read_line();
  if (!line) return std::move(line.error());
  Fields fields;
  for (std::string_view rest = *line; !rest.empty();) {
    const auto end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (const auto equals = word.find('='); equals != std::string_view::npos)
      fields.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
  if (fields["cmd"] != expected)
    return Error(Code::protocol,
                 fmt::format("the launcher's PMI server answered \"{}\" where {} was expected", shown(*line), expected));
  const auto rc = fields.find("rc");
  if (rc != fields.end() && rc->second != "0")
    return Error(Code::environment, fmt::format("the launcher's PMI server refused: {}", shown(*line)));
  return fields;
}

Status Pmi1Store::send_line(std::string_view rest) {
  while (!rest.empty()) {
    if (auto s = wait_for(POLLOUT, "sending"); !s) return s;
    // A socket, so that a proxy that went away is an error and no signal.
    const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR && errno != EAGAIN) return system_error(errno, "writing to the launcher's PMI server");
  }
  return {};
}

Result<std::string> Pmi1Store::read_line() {
  for (;;) {
    if (const auto end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    if (read_.size() > kMaxLine)
      return Error(Code::protocol, fmt::format("the launcher's PMI server sent a line of more than {} bytes", kMaxLine));
    if (auto s = wait_for(POLLIN, "an answer"); !s) return std::move(s.error());
    std::array<char, 2048> piece{};
    const ssize_t n = recv(fd_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (n > 0) read_.append(piece.data(), static_cast<std::size_t>(n));
    if (n == 0) return Error(Code::peer_lost, "the launcher's PMI server closed the connection");
    if (n < 0 && errno != EINTR && errno != EAGAIN) return system_error(errno, "reading from the launcher's PMI server");
  }
}

Status Pmi1Store::wait_for(short events, std::string_view what) {
  for (;;) {
    pollfd waiting{fd_.get(), events, 0};
    const int ready = ::poll(&waiting, 1, milliseconds_until(deadline_));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return system_error(errno, "poll()");
    if (Clock::now() >= deadline_)
      return Error(Code::timeout,
                   fmt::format("the launcher's PMI server did not answer in time ({}): did every rank start?", what));
  }
}

}  // namespace tutti
