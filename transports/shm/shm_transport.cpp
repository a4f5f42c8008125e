#include "transports/shm/shm_transport.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/host.h"
#include "transports/shm/shm_endpoint.h"

namespace tutti {
namespace {

using shm::Hub;

constexpr std::string_view kPrefix = "shm ";
constexpr std::size_t kMaxName = 64;

Result<std::string> parse_address(Rank peer, ConstBytes address) {
  const std::string_view text(reinterpret_cast<const char*>(address.data()), address.size());
  const bool sound = text.starts_with(kPrefix) && text.size() > kPrefix.size() && text.size() <= kPrefix.size() + kMaxName;
  if (!sound)
    return Error(Code::protocol,
                 fmt::format("the {} bytes given as the address of rank {} are not one of shm", text.size(), peer), peer);
  return std::string(text.substr(kPrefix.size()));
}

// One kernel (boot id), one user, and one network namespace, in which the sockets' names live.
std::string domain_of_this_process() {
  struct stat network {};
  if (stat("/proc/self/ns/net", &network) != 0) network = {};
  return fmt::format("shm boot {} user {} net {}:{}", boot_id(), geteuid(), network.st_dev, network.st_ino);
}

class ShmTransport final : public Transport {
 public:
  explicit ShmTransport(const TransportOptions& options) : hub_(std::make_shared<Hub>(options)) {}

  [[nodiscard]] std::string_view name() const override { return "shm"; }

  Status probe() override {
    if (Status opened = hub_->open(); !opened) return opened.because("shared memory cannot be used here");
    return {};
  }

  [[nodiscard]] std::string domain() const override { return domain_; }

  [[nodiscard]] bool has_boards() const noexcept override { return true; }

  Result<std::vector<std::byte>> listen() override {
    if (Status opened = hub_->open(); !opened) return std::move(opened.error());
    const std::string text = std::string(kPrefix) + hub_->socket_name();
    const auto bytes = std::as_bytes(std::span(text));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }

  Status reaches(Rank peer, ConstBytes peer_address) override {
    const auto socket_name = parse_address(peer, peer_address);
    if (!socket_name) return socket_name.error().clone();
    const auto socket = shm::connect_to(*socket_name, peer);
    if (!socket) return socket.error().clone();
    // A full queue is the queue of somebody who listens; who it is will be asked when connecting.
    if (!*socket) return {};
    if (const auto user = shm::same_user(*socket, peer); !user) return user.error().clone();
    return {};
  }

  Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) override {
    if (request.me == request.peer)
      return Error(Code::invalid_argument, fmt::format("rank {} cannot connect to itself", request.me), request.peer);
    if (Status opened = hub_->open(); !opened) return std::move(opened.error());
    // Only the side that calls needs to know where.
    Result<std::string> socket_name = std::string();
    if (request.me > request.peer) socket_name = parse_address(request.peer, request.peer_address);
    if (!socket_name) return std::move(socket_name.error());
    auto board = hub_->board(request);
    if (!board) return board.because(fmt::format("connecting with rank {}", request.peer));
    auto lane = hub_->allocate_lane();
    if (!lane) return lane.because(fmt::format("connecting with rank {}", request.peer));
    return std::unique_ptr<Endpoint>(
        std::make_unique<shm::ShmEndpoint>(hub_, request, std::move(*socket_name), *lane, std::move(*board)));
  }

 private:
  std::shared_ptr<Hub> hub_;
  std::string domain_ = domain_of_this_process();  // read before this transport's own files may exhaust the limit
};

}  // namespace

std::unique_ptr<Transport> make_shm(const TransportOptions& options) { return std::make_unique<ShmTransport>(options); }

}  // namespace tutti
