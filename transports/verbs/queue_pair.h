// One rail of a connection: a reliable connected queue pair that writes into the peer's memory, with its completions.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "transports/verbs/device.h"
#include "transports/verbs/wire.h"
#include "tutti/transport.h"

namespace tutti::verbs {

struct QueueLimits {
  int sends = 128;     // writes under way
  int receives = 128;  // signals of the peer under way
  int inline_bytes = 192;
};

struct PathOptions {
  int timeout = 18;  // 4.096 us * 2^timeout until a packet that nobody acknowledged is sent again
  int retries = 6;
  int service_level = 0;
  int traffic_class = 0;
};

struct Write {
  const void* from = nullptr;
  std::size_t bytes = 0;
  std::uint32_t local_key = 0;
  ConstBytes behind{};  // more, from other memory
  std::uint32_t behind_key = 0;
  std::uint64_t to = 0;
  std::uint32_t remote_key = 0;
  std::optional<Signal> signal = std::nullopt;
  bool report = false;  // its completion is asked for
  std::string_view what;
};

class QueuePair {
 public:
  static Result<std::unique_ptr<QueuePair>> create(std::shared_ptr<Device> device, const Port& port, const QueueLimits& limits,
                                                   Rank peer);
  ~QueuePair();
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  [[nodiscard]] RailEnd end() const noexcept;
  Status connect(const RailEnd& theirs, const PathOptions& options);

  // Whether another write can be posted.
  [[nodiscard]] bool room() const noexcept { return posted_ - completed_ < static_cast<std::uint64_t>(limits_.sends); }
  // Posts a write, which needs room. Its number.
  Result<std::uint64_t> post(const Write& write);
  // Writes with numbers up to this one are complete: their memory may be used again.
  [[nodiscard]] std::uint64_t completed() const noexcept { return completed_; }
  [[nodiscard]] std::uint64_t posted() const noexcept { return posted_; }
  // The last write whose completion was asked for: completed() gets there by itself.
  [[nodiscard]] std::uint64_t reported() const noexcept { return reported_; }
  // Asks for the completion of all that has been posted, so that completed() gets there.
  Status flush();

  // Whether anything has completed, which take() has to be called for then.
  [[nodiscard]] bool poll() noexcept {
    count_ = ibv_poll_cq(completions_, static_cast<int>(batch_.size()), batch_.data());
    return count_ != 0;
  }
  // Takes all that has completed and adds the signals that have arrived, even where something has failed. An error is that of the
  // first request that failed.
  Status take(std::vector<Signal>& arrived);

  void begin_wait(WaitSet& set);
  void end_wait();

  [[nodiscard]] std::size_t memory_bytes() const noexcept;
  [[nodiscard]] const Port& port() const noexcept { return port_; }
  [[nodiscard]] Device& device() const noexcept { return *device_; }

 private:
  struct Sent {
    std::string_view what;
    std::size_t bytes = 0;
  };
  QueuePair(std::shared_ptr<Device> device, const Port& port, const QueueLimits& limits, Rank peer)
      : device_(std::move(device)), port_(port), limits_(limits), peer_(peer), sent_(static_cast<std::size_t>(limits.sends)) {}
  Status make();
  Status make_pair();
  Status to_init();
  Status to_receive(const RailEnd& theirs, const PathOptions& options);
  Status to_send(const PathOptions& options);
  Status change(ibv_qp_attr& attributes, int mask, std::string_view to);
  Status replenish(int receives);
  Status post_used();
  // Receive requests beyond those that the peer may use up: so many may be used and not yet posted anew.
  [[nodiscard]] int spare() const noexcept { return std::max(limits_.receives / 8, 1); }
  [[nodiscard]] int receives() const noexcept { return limits_.receives + spare(); }
  void take(const ibv_wc& completion, std::vector<Signal>& arrived, std::optional<Error>& first);
  [[nodiscard]] Error failed(const ibv_wc& completion) const;
  [[nodiscard]] Error failed(int error_number, std::string_view what) const;

  std::shared_ptr<Device> device_;
  Port port_;
  QueueLimits limits_;
  Rank peer_;
  ibv_comp_channel* channel_ = nullptr;
  ibv_cq* completions_ = nullptr;
  std::array<ibv_wc, 16> batch_;  // of completions that have been polled
  int count_ = 0;                 // of them
  ibv_qp* pair_ = nullptr;
  bool shares_receives_ = false;
  bool failed_ = false;
  int used_ = 0;  // receive requests, not yet posted anew
  std::uint32_t first_packet_ = 0;
  std::vector<Sent> sent_;  // by number
  std::uint64_t posted_ = 0, reported_ = 0, completed_ = 0;
};

}  // namespace tutti::verbs
