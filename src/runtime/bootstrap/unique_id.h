// What is inside a unique id.
#pragma once

#include <optional>
#include <string_view>

#include "bootstrap/rendezvous.h"
#include "core/config.h"
#include "tutti/transport.h"
#include "tutti/unique_id.h"

namespace tutti {

struct MeetingPlace {
  SocketAddress address;
  Secret secret;
  std::optional<HostPort> home = {};  // instead of the address: where rank 0 is to serve it, by a name perhaps

  [[nodiscard]] UniqueId to_id() const;
  // Code::invalid_argument when the bytes are no id of this version or were damaged.
  static Result<MeetingPlace> from_id(const UniqueId& id);
};
[[nodiscard]] std::uint64_t job_of(const UniqueId& id);
// Closes the place if this process serves it; says whether.
bool close_here(const UniqueId& id);

[[nodiscard]] Result<UniqueId> create_unique_id(const Config& config, double lifetime_s);
[[nodiscard]] Result<UniqueId> unique_id_at(std::string_view host_port, const Config& config);

}  // namespace tutti
