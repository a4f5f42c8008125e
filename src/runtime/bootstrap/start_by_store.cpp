#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "bootstrap/hex.h"
#include "bootstrap/key_value_store.h"
#include "bootstrap/neighbours.h"
#include "bootstrap/start.h"
#include "core/handshake.h"
#include "core/hash.h"

namespace tutti {
namespace {

std::string address_to_hex(const SocketAddress& address) {
  Writer out;
  encode(address, out);
  return to_hex(out.take());
}

Result<SocketAddress> address_from_hex(std::string_view text, std::uint32_t scope) {
  auto bytes = from_hex(text);
  if (!bytes) return std::move(bytes.error());
  Reader in(*bytes);
  return decode_address(in, scope);
}

// A launcher's store serves a process once: a process that never said goodbye to it is taken for crashed when it ends, one that
// did cannot come back. So the first start leaves behind where the next ones meet: a port that rank 0 keeps open. This state
// belongs to the process because the launcher's connection does.
struct Reunion {
  std::mutex mutex;
  bool known = false;
  Rank rank = 0;
  Rank size = 0;
  Secret secret;
  SocketAddress address;
  Fd listener;  // rank 0's
  std::uint32_t starts = 0;

  static Reunion& of_this_process() {
    static Reunion reunion;
    return reunion;
  }
};

Result<SocketAddress> store_address(const Launch& launch, const Config& config) {
  const bool all_here = launch.size > 0 && launch.local_size == launch.size;
  if (all_here && !config.is_set(Var::interface)) return v4_loopback();
  return chosen_address(config);
}

// What rank 0 tells everybody: the secret, and where later starts meet.
Status publish(KeyValueStore& store, const Listener& mine, Reunion& reunion, const Config& config) {
  if (auto s = store.put("address", address_to_hex(mine.address)); !s) return s;
  if (store.rank() != 0) return {};
  auto later = open_listener(mine.address.with_port(0));
  if (!later) return std::move(later.error());
  reunion.listener = std::move(later->fd);
  const Secret secret = config.is_set(Var::secret) ? secret_from_text(config.text(Var::secret)) : random_secret();
  return store.put("job", to_hex(secret.bytes) + address_to_hex(later->address));
}

Status learn_job(KeyValueStore& store, Reunion& reunion, std::uint32_t scope) {
  auto text = store.get(0, "job");
  if (!text) return std::move(text.error());
  auto bytes = from_hex(*text);
  if (!bytes) return std::move(bytes.error());
  Reader in(*bytes);
  std::ranges::copy(in.raw(reunion.secret.bytes.size()), reunion.secret.bytes.begin());
  auto address = decode_address(in, scope);
  if (!address) return address.because("rank 0's entry in the launcher's store");
  reunion.address = *address;
  reunion.rank = store.rank();
  reunion.size = store.size();
  return {};
}

Result<std::vector<SocketAddress>> learn_neighbours(KeyValueStore& store, std::uint32_t scope) {
  std::vector<SocketAddress> next;
  for (int link = 0; link < link_count(store.size()); ++link) {
    auto text = store.get(next_rank(store.rank(), store.size(), link), "address");
    if (!text) return std::move(text.error());
    auto address = address_from_hex(*text, scope);
    if (!address) return std::move(address.error());
    next.push_back(*address);
  }
  return next;
}

Result<Session> first_by_store(Session session, const Launch& launch, Reunion& reunion, const Config& config) {
  auto store = open_store(launch, Clock::now() + timeout_of(config));
  if (!store) return std::move(store.error());
  auto at = store_address(launch, config);
  if (!at) return std::move(at.error());
  auto listener = open_listener(*at);
  if (!listener) return listener.because("opening the control connection");
  const std::uint32_t scope = listener->address.scope();
  if (auto s = publish(**store, *listener, reunion, config); !s) return std::move(s.error());
  if (auto s = (*store)->fence(); !s) return std::move(s.error());
  if (auto s = learn_job(**store, reunion, scope); !s) return std::move(s.error());
  auto next = learn_neighbours(**store, scope);
  if (!next) return std::move(next.error());
  // Done with the launcher before anything can go wrong: it must not end the others before they could say what happened.
  if (auto s = (*store)->finish(); !s) return std::move(s.error());
  reunion.known = true;
  session.rank = reunion.rank;
  session.size = reunion.size;
  session.secret = reunion.secret;
  session.job = Hasher().text(launch.job).value(++reunion.starts).result();
  if (session.size == 1) return start_alone(session.launcher);
  if (auto s = connect_overlay(session, std::move(*listener), std::move(*next), config); !s) return std::move(s.error());
  return session;
}

}  // namespace

Result<Session> start_by_store(Session session, const Launch& launch, const Config& config) {
  Reunion& reunion = Reunion::of_this_process();
  const std::lock_guard lock(reunion.mutex);
  if (!reunion.known) return first_by_store(std::move(session), launch, reunion, config);
  session.rank = reunion.rank;
  session.size = reunion.size;
  session.secret = reunion.secret;
  session.job = Hasher().text(launch.job).value(++reunion.starts).result();
  if (session.size == 1) return start_alone(session.launcher);
  std::vector<Fd> listeners;
  if (reunion.listener) {
    listeners.emplace_back(fcntl(reunion.listener.get(), F_DUPFD_CLOEXEC, 3));
    if (!listeners.back()) return system_error(errno, "copying a descriptor");
  }
  const Place place{{reunion.address.host(), reunion.address.port()}, "where the ranks met at their first start", false};
  return start_at(std::move(session), place, std::move(listeners), config);
}

}  // namespace tutti
