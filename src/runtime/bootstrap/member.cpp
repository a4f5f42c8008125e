#include "bootstrap/member.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "bootstrap/launcher.h"
#include "core/printable.h"

namespace tutti {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxHost = 64;

}  // namespace

Member Member::of_this_process() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"?"};
  return {host.data(), getpid()};
}

void Member::encode(Writer& out) const { out.text(host).value(pid); }

Member Member::decode(Reader& in) {
  Member member;
  member.host = printable(in.text().substr(0, kMaxHost));
  member.pid = in.value<std::int64_t>();
  return member;
}

std::string describe(Rank rank, const Member& member) {
  return member.host.empty() ? fmt::format("rank {}", rank)
                             : fmt::format("rank {} (host {}, pid {})", rank, member.host, member.pid);
}

std::vector<std::byte> Hello::encode() const {
  Writer out;
  out.value(purpose).value(kVersion).value(job).value(rank).value(size).value(link).value(timeout_ms);
  member.encode(out);
  return out.bytes(address).take();
}

Result<Hello> Hello::decode(ConstBytes bytes, Purpose expected) {
  Reader in(bytes);
  Hello hello;
  hello.purpose = in.value<Purpose>();
  const auto version = in.value<std::uint8_t>();
  hello.job = in.value<std::uint64_t>();
  hello.rank = in.value<Rank>();
  hello.size = in.value<Rank>();
  hello.link = in.value<std::uint8_t>();
  hello.timeout_ms = in.value<std::uint32_t>();
  hello.member = Member::decode(in);
  const ConstBytes address = in.bytes();
  hello.address.assign(address.begin(), address.end());
  if (in.ok() && version != kVersion)
    return Error(Code::protocol,
                 fmt::format("the peer speaks version {} of the control protocol, this is version {}: all ranks must "
                             "run the same tutti",
                             version, kVersion));
  if (!in.finished() || hello.purpose != expected) return Error(Code::protocol, "the peer's greeting does not parse");
  const bool server = expected == Purpose::rendezvous;
  const bool sensible = hello.size >= 1 && hello.size <= kMaxRanks && hello.rank >= 0 && hello.rank < hello.size;
  if (!server && !sensible)
    return Error(Code::protocol, fmt::format("the peer says it is rank {} of {}", hello.rank, hello.size));
  return hello;
}

}  // namespace tutti
