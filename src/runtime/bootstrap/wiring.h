// Bringing up an overlay's connections: some are opened, as many are accepted, all at the same time.
#pragma once

#include <vector>

#include "bootstrap/overlay.h"
#include "core/stop.h"

namespace tutti {

class Overlay::Wiring {
 public:
  Wiring(Overlay& overlay, Setup setup);
  // Until every link is up, a neighbour failed, or the time is over.
  Status run();

 private:
  [[nodiscard]] bool finished() const;
  Status advance_outgoing(int link);
  Status retry(int link, const Error& error);
  Status check_peer(int link);
  Status accept_incoming();
  void place(std::unique_ptr<Channel> channel);
  [[nodiscard]] Error late() const;
  void sleep();
  [[nodiscard]] std::vector<std::byte> hello(int link) const;
  [[nodiscard]] Link& outgoing(int link) const { return overlay_.links_[static_cast<std::size_t>(link)]; }
  [[nodiscard]] Link& incoming(int link) const { return overlay_.links_[static_cast<std::size_t>(links_ + link)]; }

  Overlay& overlay_;
  Setup setup_;
  StopSignal stop_;
  int links_;
  Reception reception_;
  std::vector<Attempt> attempts_;
  TimePoint deadline_;
};

}  // namespace tutti
