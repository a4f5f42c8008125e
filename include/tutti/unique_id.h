// How ranks that no launcher knows find each other: one process makes an id, hands it to all ranks by whatever way it has (a
// file, a pipe, another library), and every rank makes its communicator with it.
//
//   tutti::UniqueId id = tutti::create_unique_id().value_or_throw();   // in one process, usually rank 0's
//   std::string text = id.to_text();                                   // to be passed on
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "tutti/result.h"

namespace tutti {

// Where ranks meet, and a secret that lets them in: treat it like a password of the job. Serves one communicator, unless
// unique_id_at() made it.
struct UniqueId {
  static constexpr std::size_t kSize = 128;
  std::array<std::byte, kSize> bytes{};

  // 256 hexadecimal digits.
  [[nodiscard]] std::string to_text() const;
  // Code::invalid_argument for anything that to_text() did not make; white space around it is ignored.
  [[nodiscard]] static Result<UniqueId> from_text(std::string_view text);
  // Code::invalid_argument for bytes that are no id, or one that was damaged.
  [[nodiscard]] Status check() const;

  friend bool operator==(const UniqueId&, const UniqueId&) = default;
};
static_assert(sizeof(UniqueId) == UniqueId::kSize);

// Opens the meeting place in this process, on the interface that TUTTI_INTERFACE says. It is served in the background until all
// ranks have come, `lifetime_s` seconds have passed without any, or the process ends. Thread safe.
[[nodiscard]] Result<UniqueId> create_unique_id(double lifetime_s = 3600);

// Closes the meeting place of an id that nobody will use, wherever it is served; ranks that have come there fail. An error says
// that nobody answers there (any more).
Status discard(const UniqueId& id);

// The id of a fixed address, "host:port" ("[address]:port" for IPv6): any process can make it, and gets the same one as all
// others, so nothing has to be passed on. Rank 0, which must be at home there, serves the place while its communicator is made;
// one after the other, any number of communicators can be made with it. Its secret is TUTTI_SECRET; while that is not set, one
// that others may guess, because it is made of the address and the user.
[[nodiscard]] Result<UniqueId> unique_id_at(std::string_view host_port);

}  // namespace tutti
