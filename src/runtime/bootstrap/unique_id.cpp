#include "bootstrap/unique_id.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "bootstrap/hex.h"
#include "bootstrap/start.h"
#include "core/handshake.h"
#include "core/hash.h"
#include "transports/tcp/interfaces.h"
#include "tutti/standby_id.h"

namespace tutti {
namespace {

// Magic 4, version 1, secret 32, kind 1, address 19 or length 4 and text, zeros, checksum 8.
constexpr std::string_view kMagic = "ttid";
constexpr std::uint8_t kVersion = 2;
constexpr std::size_t kChecked = UniqueId::kSize - sizeof(std::uint64_t);
constexpr std::size_t kMostText = kChecked - 4 - 1 - 32 - 1 - 4;
enum class PlaceKind : std::uint8_t { served, home };

// An id is a plain value that nobody has to close, so somebody must keep what serves it: the process does, until it is finished.
class Keeper {
 public:
  Keeper() = default;
  // A forked child has these objects but not their threads: it must not wait for them.
  ~Keeper() {
    if (getpid() != owner_)
      for (auto& [job, rendezvous] : serving_) (void)rendezvous.release();
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void keep(std::uint64_t job, std::unique_ptr<Rendezvous> rendezvous) {
    const std::lock_guard lock(mutex_);
    std::erase_if(serving_, [](const auto& s) { return s.second->finished(); });
    serving_.emplace(job, std::move(rendezvous));
  }
  bool close(std::uint64_t job) {
    if (getpid() != owner_) return false;
    const std::lock_guard lock(mutex_);
    return serving_.erase(job) > 0;
  }
  static Keeper& of_this_process() {
    static Keeper keeper;
    return keeper;
  }

 private:
  std::mutex mutex_;
  pid_t owner_ = getpid();
  std::map<std::uint64_t, std::unique_ptr<Rendezvous>> serving_;  // by the id's job
};

// A place that listens, and is served once it is opened.
struct Prepared {
  Duration timeout;
  Fd listener;  // until it is opened
  MeetingPlace place;
  UniqueId id;

  static Result<Prepared> make(const Config& config) {
    auto interface = choose_interface(config.text(Var::interface));
    if (!interface) return interface.because("TUTTI_INTERFACE");
    auto listener = listen_at(interface->address);
    if (!listener) return std::move(listener.error());
    auto address = SocketAddress::of_socket(listener->get());
    if (!address) return std::move(address.error());
    const MeetingPlace place{*address, random_secret()};
    return Prepared{from_seconds(config.seconds(Var::timeout)), std::move(*listener), place, place.to_id()};
  }

  Status open(double lifetime_s) {
    if (!listener) return Error(Code::invalid_argument, "a meeting place can be opened once, and this one was");
    std::vector<Fd> listeners;
    listeners.push_back(std::move(listener));
    auto rendezvous = Rendezvous::start(std::move(listeners), place.secret, job_of(id), {from_seconds(lifetime_s), timeout});
    if (!rendezvous) return std::move(rendezvous.error());
    Keeper::of_this_process().keep(job_of(id), std::move(*rendezvous));
    return {};
  }
};

}  // namespace

std::string UniqueId::to_text() const { return to_hex(bytes); }

Result<UniqueId> UniqueId::from_text(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  text = text.substr(0, text.find_last_not_of(kBlank) + 1);
  if (text.size() != 2 * kSize)
    return Error(Code::invalid_argument,
                 fmt::format("a unique id has {} hexadecimal digits, this text has {} characters", 2 * kSize, text.size()));
  auto raw = from_hex(text);
  if (!raw) return raw.because("a unique id");
  UniqueId id;
  std::copy_n(raw->begin(), kSize, id.bytes.begin());
  if (auto s = id.check(); !s) return std::move(s.error());
  return id;
}

Status UniqueId::check() const {
  auto place = MeetingPlace::from_id(*this);
  return place ? Status{} : std::move(place.error());
}

UniqueId MeetingPlace::to_id() const {
  Writer out;
  out.raw(std::as_bytes(std::span(kMagic))).value(kVersion).raw(secret.bytes);
  out.value(home ? PlaceKind::home : PlaceKind::served);
  if (home)
    out.text(to_string(*home));
  else
    encode(address, out);
  auto body = out.take();
  body.resize(kChecked);
  const std::uint64_t sum = Hasher().bytes(body.data(), body.size()).result();
  UniqueId id;
  std::copy_n(body.begin(), kChecked, id.bytes.begin());
  for (std::size_t i = 0; i < sizeof sum; ++i) id.bytes[kChecked + i] = static_cast<std::byte>(sum >> (8 * i));
  return id;
}

Result<MeetingPlace> MeetingPlace::from_id(const UniqueId& id) {
  const ConstBytes all(id.bytes);
  const ConstBytes body = all.first(kChecked);
  const auto sum = Reader(all.subspan(kChecked)).value<std::uint64_t>();
  Reader in(body);
  if (!std::ranges::equal(in.raw(kMagic.size()), std::as_bytes(std::span(kMagic))))
    return Error(Code::invalid_argument, "these bytes are no unique id (did create_unique_id make them?)");
  if (const auto version = in.value<std::uint8_t>(); version != kVersion)
    return Error(
        Code::invalid_argument,
        fmt::format("a unique id of version {}, this is version {}: all ranks must run the same tutti", version, kVersion));
  if (sum != Hasher().bytes(body.data(), body.size()).result())
    return Error(Code::invalid_argument, "a unique id was damaged on its way: its checksum is wrong");
  MeetingPlace place;
  std::ranges::copy(in.raw(place.secret.bytes.size()), place.secret.bytes.begin());
  const auto because = [](const Error& e) { return Error(Code::invalid_argument, "a unique id: " + e.message()); };
  if (in.value<PlaceKind>() == PlaceKind::home) {
    auto home = parse_host_port(in.text());
    if (!home) return because(home.error());
    place.home = std::move(*home);
  } else {
    auto address = decode_address(in, 0);
    if (!address) return because(address.error());
    place.address = *address;
  }
  return place;
}

std::uint64_t job_of(const UniqueId& id) { return Hasher().bytes(id.bytes.data(), id.bytes.size()).result(); }

bool close_here(const UniqueId& id) { return Keeper::of_this_process().close(job_of(id)); }

Result<UniqueId> create_unique_id(const Config& config, double lifetime_s) {
  auto prepared = Prepared::make(config);
  if (!prepared) return std::move(prepared.error());
  if (auto s = prepared->open(lifetime_s); !s) return std::move(s.error());
  return prepared->id;
}

Result<UniqueId> create_unique_id(double lifetime_s) {
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  return create_unique_id(*config, lifetime_s);
}

// By being all the ranks that it waits for.
Status discard(const UniqueId& id) {
  constexpr Duration kTimeout = std::chrono::seconds(1);
  auto place = MeetingPlace::from_id(id);
  if (!place) return std::move(place.error());
  if (place->home || close_here(id)) return {};
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  auto address = reachable(place->address, *config);
  if (!address) return std::move(address.error());
  Registration alone;
  alone.secret = place->secret;
  alone.job = job_of(id);
  alone.at = {address->host(), address->port()};
  alone.at_text = "the address in the unique id";
  alone.listen = [](const SocketAddress& local) { return local.with_port(0); };
  alone.timeout = kTimeout;
  alone.of_an_id = true;
  auto done = register_rank(alone);
  return done ? Status{} : done.because("closing the meeting place of a unique id");
}

Result<UniqueId> unique_id_at(std::string_view host_port, const Config& config) {
  auto home = parse_host_port(host_port);
  if (!home) return std::move(home.error());
  const std::string text = to_string(*home);
  if (text.size() > kMostText)
    return Error(Code::invalid_argument, fmt::format("\"{}\" has more than {} characters, which is what a unique id holds: write "
                                                     "the host's address instead of its name",
                                                     text, kMostText));
  return MeetingPlace{{}, secret_of(config, "unique id of " + text), std::move(*home)}.to_id();
}

Result<UniqueId> unique_id_at(std::string_view host_port) {
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  return unique_id_at(host_port, *config);
}

struct StandbyId::Impl : Prepared {};

StandbyId::StandbyId(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StandbyId::StandbyId(StandbyId&&) noexcept = default;
StandbyId& StandbyId::operator=(StandbyId&&) noexcept = default;
StandbyId::~StandbyId() = default;

Result<StandbyId> StandbyId::make() {
  auto config = Config::from_environment();
  if (!config) return std::move(config.error());
  auto prepared = Prepared::make(*config);
  if (!prepared) return std::move(prepared.error());
  return StandbyId(std::make_unique<Impl>(Impl{std::move(*prepared)}));
}

const UniqueId& StandbyId::id() const noexcept { return impl_->id; }

Status StandbyId::open(double lifetime_s) { return impl_->open(lifetime_s); }

}  // namespace tutti
