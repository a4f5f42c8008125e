#include "bootstrap/bootstrap.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <tuple>

#include "bootstrap/key_value_store.h"
#include "bootstrap/neighbours.h"
#include "bootstrap/rendezvous.h"
#include "bootstrap/unique_id.h"
#include "core/handshake.h"
#include "core/hash.h"
#include "core/log.h"
#include "transports/tcp/interfaces.h"

namespace tutti {
namespace {

struct Listener {
  Fd fd;
  SocketAddress address;
};

Result<Listener> open_listener(const SocketAddress& at) {
  auto fd = listen_at(at);
  if (!fd) return std::move(fd.error());
  auto address = SocketAddress::of_socket(fd->get());
  if (!address) return std::move(address.error());
  return Listener{std::move(*fd), *address};
}

Result<SocketAddress> chosen_address(const Config& config) {
  auto interface = choose_interface(config.text(Var::interface));
  if (!interface) return interface.because("choosing the interface for control connections (TUTTI_INTERFACE)");
  return interface->address;
}

std::string to_hex(ConstBytes bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", std::to_integer<int>(b));
  return text;
}

Result<std::vector<std::byte>> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || end != text.data() + i + 2)
      return Error(Code::protocol, "an entry in the launcher's store is no hexadecimal number");
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

std::string to_hex(const SocketAddress& address) {
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

Duration timeout_of(const Config& config) { return from_seconds(config.seconds(Var::timeout)); }

Result<Session> alone(std::string launcher) {
  Session session;
  session.secret = random_secret();
  session.launcher = std::move(launcher);
  auto overlay = Overlay::connect({});
  if (!overlay) return std::move(overlay.error());
  session.overlay = std::move(*overlay);
  return session;
}

Status connect_overlay(Session& session, Listener listener, std::vector<SocketAddress> next, const Config& config) {
  session.control_address = listener.address.with_port(0);
  auto overlay = Overlay::connect(
      {session.rank, session.size, session.secret, session.job, std::move(listener.fd), std::move(next), timeout_of(config)});
  if (!overlay) return std::move(overlay.error());
  session.overlay = std::move(*overlay);
  log(LogLevel::info, fmt::format("rank {} of {} connected, started by {}", session.rank, session.size, session.launcher));
  return {};
}

// ---- meeting at an address ----------------------------------------------------------------------------------------------

struct Place {
  HostPort at;
  std::string text;
  // The name may be that of this very host and mean loopback here, but not elsewhere.
  bool by_name = false;
};

// A rank listens where it was seen to reach the rendezvous, unless the user chose an interface.
Result<SocketAddress> listening_address(const Place& place, const SocketAddress& local, const Config& config) {
  if (config.is_set(Var::interface) || (place.by_name && is_loopback(local))) return chosen_address(config);
  return local.with_port(0);
}

Result<Session> meet(Session session, const Place& place, const Config& config) {
  Listener listener;
  Registration registration;
  registration.rank = session.rank;
  registration.size = session.size;
  registration.secret = session.secret;
  registration.job = session.job;
  registration.at = place.at;
  registration.at_text = place.text;
  registration.timeout = timeout_of(config);
  registration.listen = [&](const SocketAddress& local) -> Result<SocketAddress> {
    auto at = listening_address(place, local, config);
    if (!at) return at;
    auto opened = open_listener(*at);
    if (!opened) return opened.because("opening the control connection");
    listener = std::move(*opened);
    return listener.address;
  };
  auto next = register_rank(registration);
  if (!next) return std::move(next.error());
  if (auto s = connect_overlay(session, std::move(listener), std::move(*next), config); !s) return std::move(s.error());
  return session;
}

Error cannot_listen(const Place& place, const Error& error) {
  return {
      Code::environment,
      fmt::format(
          "rank 0 cannot listen at the rendezvous {} ({}): {}. It must be an address of rank 0's own host ({} here) and a port "
          "that nothing else uses",
          to_string(place.at), place.text, error.message(), Member::of_this_process().host),
      0};
}

// All addresses of this host that the name means, here or as other hosts see it.
Result<std::vector<Fd>> rendezvous_listeners(const Place& place, const Config& config) {
  auto candidates = resolve(place.at);
  if (!candidates) return cannot_listen(place, candidates.error());
  const bool only_loopback = std::ranges::all_of(*candidates, is_loopback);
  if (place.by_name && only_loopback)
    if (auto outside = choose_interface(config.text(Var::interface)); outside && !outside->loopback)
      candidates->push_back(outside->address.with_port(place.at.port));
  std::vector<Fd> listeners;
  Error last(Code::environment, "the name has no address");
  for (const SocketAddress& address : *candidates) {
    auto fd = listen_at(address);
    if (fd) listeners.push_back(std::move(*fd));
    if (!fd) last = std::move(fd.error());
  }
  if (listeners.empty()) return cannot_listen(place, last);
  return listeners;
}

Result<Session> serve_and_meet(Session session, const Place& place, std::vector<Fd> listeners, const Config& config) {
  if (session.rank != 0) return meet(std::move(session), place, config);
  auto rendezvous =
      Rendezvous::start(std::move(listeners), session.secret, session.job, {timeout_of(config), timeout_of(config)});
  if (!rendezvous) return std::move(rendezvous.error());
  return meet(std::move(session), place, config);
}

Secret launch_secret(const Launch& launch, const Config& config) {
  if (config.is_set(Var::secret)) return secret_from_text(config.text(Var::secret));
  log(LogLevel::info,
      "connections are authenticated by what this job's ranks have in common (job, user, rendezvous), which others may "
      "guess: set TUTTI_SECRET to keep strangers out");
  return secret_from_text(fmt::format("tutti job {} of user {} at {}", launch.job, getuid(), to_string(launch.rendezvous)));
}

Result<Session> by_rendezvous(Session session, const Launch& launch, const Config& config) {
  session.secret = launch_secret(launch, config);
  session.job = Hasher().text(launch.job).text(to_string(launch.rendezvous)).result();
  const bool number = static_cast<bool>(SocketAddress::parse(launch.rendezvous.host));
  const Place place{launch.rendezvous, launch.rendezvous_text, !number && launch.rendezvous.host != "localhost"};
  std::vector<Fd> listeners;
  if (session.rank == 0) {
    auto opened = rendezvous_listeners(place, config);
    if (!opened) return std::move(opened.error());
    listeners = std::move(*opened);
  }
  return serve_and_meet(std::move(session), place, std::move(listeners), config);
}

// ---- meeting through the launcher's store -----------------------------------------------------------------------------------

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
  if (auto s = store.put("address", to_hex(mine.address)); !s) return s;
  if (store.rank() != 0) return {};
  auto later = open_listener(mine.address.with_port(0));
  if (!later) return std::move(later.error());
  reunion.listener = std::move(later->fd);
  const Secret secret = config.is_set(Var::secret) ? secret_from_text(config.text(Var::secret)) : random_secret();
  return store.put("job", to_hex(secret.bytes) + to_hex(later->address));
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
  if (session.size == 1) return alone(session.launcher);
  if (auto s = connect_overlay(session, std::move(*listener), std::move(*next), config); !s) return std::move(s.error());
  return session;
}

Result<Session> by_store(Session session, const Launch& launch, const Config& config) {
  Reunion& reunion = Reunion::of_this_process();
  const std::lock_guard lock(reunion.mutex);
  if (!reunion.known) return first_by_store(std::move(session), launch, reunion, config);
  session.rank = reunion.rank;
  session.size = reunion.size;
  session.secret = reunion.secret;
  session.job = Hasher().text(launch.job).value(++reunion.starts).result();
  if (session.size == 1) return alone(session.launcher);
  std::vector<Fd> listeners;
  if (reunion.listener) {
    listeners.emplace_back(dup(reunion.listener.get()));
    if (!listeners.back()) return system_error(errno, "dup()");
  }
  const Place place{{reunion.address.host(), reunion.address.port()}, "where the ranks met at their first start", false};
  return serve_and_meet(std::move(session), place, std::move(listeners), config);
}

}  // namespace

Result<Session> bootstrap(const Config& config, const Lookup& lookup) {
  auto launch = detect_launcher(config, lookup);
  if (!launch) return std::move(launch.error());
  if (launch->meeting == Meeting::alone) return alone(std::string(name(launch->kind)));
  Session session;
  session.rank = launch->rank;
  session.size = launch->size;
  session.launcher = name(launch->kind);
  session.local_rank = launch->local_rank;
  if (launch->meeting == Meeting::rendezvous) return by_rendezvous(std::move(session), *launch, config);
  return by_store(std::move(session), *launch, config);
}

Result<Session> bootstrap(const UniqueId& id, Rank rank, Rank size, const Config& config) {
  if (size < 1 || size > kMaxRanks || rank < 0 || rank >= size)
    return Error(Code::invalid_argument,
                 fmt::format("rank {} of {} ranks: expected a size from 1 to {} and a rank below it", rank, size, kMaxRanks));
  auto place = MeetingPlace::from_id(id);
  if (!place) return std::move(place.error());
  if (size == 1) return alone("a unique id");
  SocketAddress address = place->address;
  if (address.is_link_local()) {
    auto mine = chosen_address(config);
    if (!mine) return std::move(mine.error());
    address = address.with_scope(mine->scope());
  }
  Session session;
  session.rank = rank;
  session.size = size;
  session.secret = place->secret;
  session.job = job_of(id);
  session.launcher = "a unique id";
  return meet(std::move(session), {{address.host(), address.port()}, "the address in the unique id", false}, config);
}

Result<std::optional<Session>> split(Session& parent, int color, int key, const Config& config) {
  Listener listener;
  Writer mine;
  mine.value(color).value(key);
  if (parent.size > 1) {
    auto opened = open_listener(parent.control_address);
    if (!opened) return opened.because("opening the control connection of a part");
    listener = std::move(*opened);
    encode(listener.address, mine);
  }
  auto all = parent.overlay->all_gather(mine.take());
  if (!all) return all.because("splitting");

  struct Candidate {
    int key;
    Rank rank;
    SocketAddress address;
  };
  std::vector<Candidate> part;
  Hasher everybody;
  for (Rank rank = 0; rank < parent.size; ++rank) {
    const auto& entry = (*all)[static_cast<std::size_t>(rank)];
    everybody.bytes(entry.data(), entry.size());
    Reader in(entry);
    const int their_color = in.value<int>();
    const int their_key = in.value<int>();
    if (!in.ok()) return Error(Code::protocol, fmt::format("rank {} is not splitting", rank), rank);
    if (their_color != color || parent.size == 1) continue;
    auto address = decode_address(in, parent.control_address.scope());
    if (!address) return address.because(fmt::format("rank {}'s address", rank));
    part.push_back({their_key, rank, *address});
  }
  if (color < 0) return std::optional<Session>();
  std::ranges::sort(part, {}, [](const Candidate& c) { return std::tuple(c.key, c.rank); });

  Session session;
  session.launcher = parent.launcher;
  session.size = std::max<Rank>(1, static_cast<Rank>(part.size()));
  // The listeners' ports make every split of a parent different.
  session.job = Hasher().value(parent.job).value(everybody.result()).value(color).result();
  session.secret = secret_from_text(fmt::format("tutti part {} {}", to_hex(parent.secret.bytes), session.job));
  if (session.size == 1) {
    auto single = alone(parent.launcher);
    if (!single) return std::move(single.error());
    return std::optional(std::move(*single));
  }
  session.rank = static_cast<Rank>(std::ranges::find(part, parent.rank, &Candidate::rank) - part.begin());
  std::vector<SocketAddress> next;
  for (int link = 0; link < link_count(session.size); ++link)
    next.push_back(part[static_cast<std::size_t>(next_rank(session.rank, session.size, link))].address);
  if (auto s = connect_overlay(session, std::move(listener), std::move(next), config); !s) return std::move(s.error());
  return std::optional(std::move(session));
}

}  // namespace tutti
