#include "transports/loopback/loopback.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <string>

#include "core/host.h"
#include "transports/loopback/loopback_endpoint.h"

namespace tutti {
namespace {

using loopback::Bell;
using loopback::Link;
using loopback::LoopbackEndpoint;

// One rank's listening side: the links its peers of higher rank have asked for, or that it waits for.
struct Hub {
  Secret secret;
  std::shared_ptr<Bell> bell = std::make_shared<Bell>();
  std::mutex mutex;
  std::map<std::pair<Rank, std::uint64_t>, std::shared_ptr<Link>> links;  // by (higher rank, stream)

  // The link of this pair and stream, with `side` present from now on. Forgotten here once both ends have it.
  std::shared_ptr<Link> join(Rank higher, std::uint64_t stream, int side, std::shared_ptr<Bell> side_bell) {
    std::lock_guard lock(mutex);
    auto& slot = links[{higher, stream}];
    if (!slot) slot = std::make_shared<Link>();
    std::shared_ptr<Link> link = slot;
    std::lock_guard link_lock(link->mutex);
    link->present[static_cast<std::size_t>(side)] = true;
    link->bells[static_cast<std::size_t>(side)] = std::move(side_bell);
    if (link->present[0] && link->present[1]) links.erase({higher, stream});
    return link;
  }
};

// Addresses within a process must be looked up somewhere: this is to loopback what the kernel's port table is to sockets.
class AddressTable {
 public:
  static AddressTable& of_this_process() {
    static AddressTable table;
    return table;
  }
  std::uint64_t add(const std::shared_ptr<Hub>& hub) {
    std::lock_guard lock(mutex_);
    hubs_[++last_] = hub;
    return last_;
  }
  std::shared_ptr<Hub> find(std::uint64_t number) {
    std::lock_guard lock(mutex_);
    const auto found = hubs_.find(number);
    return found == hubs_.end() ? nullptr : found->second.lock();
  }
  void remove(std::uint64_t number) {
    std::lock_guard lock(mutex_);
    hubs_.erase(number);
  }

 private:
  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, std::weak_ptr<Hub>> hubs_;
};

constexpr std::string_view kAddressPrefix = "loopback ";

class LoopbackTransport final : public Transport {
 public:
  LoopbackTransport(const TransportOptions& options, const LoopbackFaults& faults) : faults_(faults) {
    hub_->secret = options.secret;
    number_ = AddressTable::of_this_process().add(hub_);
  }
  ~LoopbackTransport() override { AddressTable::of_this_process().remove(number_); }
  LoopbackTransport(const LoopbackTransport&) = delete;
  LoopbackTransport& operator=(const LoopbackTransport&) = delete;

  [[nodiscard]] std::string_view name() const override { return "loopback"; }

  Status probe() override { return {}; }

  [[nodiscard]] std::string domain() const override { return fmt::format("loopback {} process {}", boot_id(), getpid()); }

  Result<std::vector<std::byte>> listen() override {
    const std::string text = fmt::format("{}{}", kAddressPrefix, number_);
    const auto bytes = std::as_bytes(std::span(text));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }

  Status reaches(Rank peer, ConstBytes peer_address) override {
    if (const auto hub = resolve(peer, peer_address); !hub) return hub.error().clone();
    return {};
  }

  Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) override {
    if (request.me == request.peer)
      return Error(Code::invalid_argument, fmt::format("rank {} cannot connect to itself", request.me), request.peer);
    if (request.me < request.peer) {
      auto link = hub_->join(request.peer, request.stream, 0, hub_->bell);
      return make(request, std::move(link), std::nullopt);
    }
    auto theirs = resolve(request.peer, request.peer_address);
    if (!theirs) return std::move(theirs.error());
    if ((*theirs)->secret != hub_->secret) {
      Error refusal(Code::unauthenticated, fmt::format("rank {} does not know this job's secret", request.peer), request.peer);
      return make(request, nullptr, std::move(refusal));
    }
    return make(request, (*theirs)->join(request.me, request.stream, 1, hub_->bell), std::nullopt);
  }

 private:
  Result<std::unique_ptr<Endpoint>> make(const ConnectRequest& request, std::shared_ptr<Link> link,
                                         std::optional<Error> refusal) {
    return std::unique_ptr<Endpoint>(
        std::make_unique<LoopbackEndpoint>(request, faults_, hub_->bell, std::move(link), std::move(refusal)));
  }

  static Result<std::shared_ptr<Hub>> resolve(Rank peer, ConstBytes address) {
    const std::string_view text(reinterpret_cast<const char*>(address.data()), address.size());
    std::uint64_t number = 0;
    if (text.starts_with(kAddressPrefix)) std::from_chars(text.data() + kAddressPrefix.size(), text.data() + text.size(), number);
    if (auto hub = AddressTable::of_this_process().find(number)) return hub;
    return Error(Code::peer_lost, fmt::format("rank {} does not listen in this process (loopback number {})", peer, number),
                 peer);
  }

  LoopbackFaults faults_;
  std::shared_ptr<Hub> hub_ = std::make_shared<Hub>();
  std::uint64_t number_;
};

}  // namespace

std::unique_ptr<Transport> make_loopback(const TransportOptions& options, const LoopbackFaults& faults) {
  return std::make_unique<LoopbackTransport>(options, faults);
}

}  // namespace tutti
