#include "runtime/host_round.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "kernels/scalar.h"
#include "runtime/stream_order.h"

namespace tutti {
namespace {

constexpr std::uint64_t kScalarRoom = 256;  // keeps what follows aligned

bool is_message(const Call& call) { return call.collective == Collective::send_recv; }

Status make_calls(const std::vector<HostRound::Part>& parts) {
  if (parts.size() == 1 && !is_message(parts.front().call->get())) return parts.front().runner->run(parts.front().call->get());
  std::vector<RunnerCall> calls;
  for (const HostRound::Part& part : parts) calls.push_back({part.runner, part.call->get()});
  return run_together(calls);
}

}  // namespace

Status HostRound::run() {
  for (const Copy& c : before) std::memcpy(c.to, c.from, c.bytes);
  auto status = make_calls(parts);
  if (status)
    for (const Copy& c : after) std::memcpy(c.to, c.from, c.bytes);
  return status;
}

void HostRounds::add(const gpu::Driver& driver, const StreamCall& c) {
  const auto unknown = [&](const void* memory) { return gpu::locate(driver, memory).kind == MemoryKind::host; };
  left_.push_back({&c, c.beside_hosts ? 1 : host_pieces(c.request, c.order->ranks()), 0, unknown(c.call.input),
                   unknown(c.call.output), unknown(c.call.op.scalar_at)});
}

bool HostRounds::done() const {
  return std::ranges::none_of(left_, [](const Left& l) { return l.next < l.pieces; });
}

void HostRounds::place(Left& left) {
  const StreamCall& c = *left.call;
  Placed p{&left, host_piece(c.call, c.request, left.next++, left.pieces, c.order->rank(), c.order->ranks()), used_[c.order], 0};
  p.scalar_at = p.at + p.piece.staging_bytes;
  used_[c.order] = p.scalar_at + kScalarRoom;
  placed_.push_back(std::move(p));
}

void HostRounds::place_all() {
  placed_.clear();
  used_.clear();
  for (Left& left : left_)
    if (is_message(left.call->call) && left.next < left.pieces) place(left);
  std::set<StreamOrder*> full;
  for (Left& left : left_) {
    StreamOrder* const order = left.call->order;
    while (!is_message(left.call->call) && left.next < left.pieces && !full.contains(order)) {
      place(left);
      if (used_[order] >= kHostPieceBytes) full.insert(order);
    }
  }
}

Result<HostRounds::Next> HostRounds::next(std::size_t slot) {
  place_all();
  Next next;
  for (const Placed& p : placed_) {
    StreamOrder* const order = p.of->call->order;
    auto staging = order->staging(used_[order], slot);
    if (!staging) return std::move(staging.error());
    add(p, *staging, next);
  }
  return next;
}

void HostRounds::add(const Placed& p, std::byte* all_staging, Next& next) {
  const StreamCall& c = *p.of->call;
  std::byte* const staging = all_staging + p.at;
  Call call = p.piece.call;
  call.input = p.piece.has_input ? staging + p.piece.input : nullptr;
  call.output = p.piece.has_output ? staging + p.piece.output : nullptr;
  // What the host alone knows may be gone when the round comes.
  std::unique_ptr<std::array<std::byte, 8>> scalar;
  if (const void* at = call.op.scalar_at; at != nullptr && p.of->host_scalar) {
    scalar = std::make_unique<std::array<std::byte, 8>>();
    std::memcpy(scalar->data(), at, kernels::scalar_bytes(call.type));
    call.op.scalar_at = scalar->data();
  } else if (at != nullptr) {
    std::byte* const copy = all_staging + p.scalar_at;
    next.before.push_back({copy, static_cast<const std::byte*>(at), kernels::scalar_bytes(call.type)});
    call.op.scalar_at = copy;
  }
  next.round.parts.push_back({c.order, &c.order->runner(), std::make_unique<OwnedCall>(call), std::move(scalar)});
  for (const auto& [user, staged, bytes] : p.piece.before)
    (p.of->host_in ? next.round.before : next.before).push_back({staging + staged, c.request.input + user, bytes});
  for (const auto& [user, staged, bytes] : p.piece.after)
    (p.of->host_out ? next.round.after : next.after).push_back({c.request.output + user, staging + staged, bytes});
}

}  // namespace tutti
