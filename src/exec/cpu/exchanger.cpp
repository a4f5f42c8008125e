#include "exec/cpu/exchanger.h"

#include <algorithm>

#include "exec/cpu/execution.h"

namespace tutti {
namespace {

// How much of something a piece has.
std::uint64_t share(std::uint64_t bytes, std::uint64_t at, std::uint64_t piece) noexcept {
  return bytes <= at ? 0 : std::min(bytes - at, piece);
}

}  // namespace

Exchanger::Exchanger(Execution& execution, const Plan& plan)
    : execution_(&execution), plan_(&plan), board_(plan.exchanges.board), element_bytes_(element_bytes(plan.type, plan.op)) {}

void Exchanger::start(const Signature& signature) noexcept {
  signature_ = signature;
  at_ = 0;
  begun_ = false;
}

Result<bool> Exchanger::advance() {
  if (!board_->ready()) return false;
  for (const auto& order = plan_->exchanges.order; at_ < order.size(); ++at_) {
    const ExchangePlan::Item item = order[at_];
    if (!item.is_exchange) {
      execution_->compute(plan_->steps[item.index]);
      continue;
    }
    auto done = exchange(plan_->exchanges.exchanges[item.index]);
    if (!done || !*done) return done;
  }
  return true;
}

// Pieces hold whole elements, where those are to be combined.
void Exchanger::begin(const Exchange& x) noexcept {
  const std::uint64_t room = board_->most_bytes() / x.parts_at_once / Consumer::kGrain * Consumer::kGrain;
  piece_bytes_ = element_bytes_ <= room ? room / element_bytes_ * element_bytes_ : room;
  pieces_ = std::max<std::uint64_t>(1, (x.largest + piece_bytes_ - 1) / piece_bytes_);
  published_ = taken_ = 0;
  take_ = x.takes_begin;
  operands_.clear();
  begun_ = true;
}

Result<bool> Exchanger::exchange(const Exchange& x) {
  if (!begun_) begin(x);
  while (taken_ < pieces_) {
    while (publishes(x) && published_ < pieces_ && published_ <= taken_ + 1) {
      auto published = publish(x);
      if (!published) return published;
      if (!*published) break;
    }
    if (waits_for_room()) return false;
    auto taken = take(x);
    if (!taken || !*taken) return taken;
  }
  begun_ = false;
  return true;
}

Result<bool> Exchanger::publish(const Exchange& x) {
  const std::uint64_t at = published_ * piece_bytes_;
  parts_.clear();
  for (auto p = x.parts_begin; p < x.parts_end; ++p) {
    const ExchangePart& part = plan_->exchanges.parts[p];
    const std::uint64_t bytes = share(part.bytes, at, piece_bytes_);
    parts_.push_back(bytes > 0 ? ConstBytes(execution_->at(part.from) + at, bytes) : ConstBytes());
  }
  auto published = board_->publish(signature_, parts_);
  if (!published || !*published) return published;
  ++published_;
  ++progress_;
  return true;
}

Result<bool> Exchanger::take(const Exchange& x) {
  const std::uint64_t at = taken_ * piece_bytes_;
  for (; take_ < x.takes_end; ++take_) {
    const ExchangeTake& t = plan_->exchanges.takes[take_];
    const std::uint64_t bytes = share(t.bytes, at, piece_bytes_);
    auto found = find_operands(t, at, bytes);
    if (!found || !*found) return found;
    if (bytes > 0) combine(execution_->at(t.to) + at, bytes, t.past_caches);
    operands_.clear();
    for (auto o = t.operands_begin; o < t.operands_end; ++o)
      if (const Rank member = plan_->exchanges.operands[o].member; member != kNoRank) board_->take(member);
  }
  if (x.only_for != kNoRank) pass_over(x.only_for);
  take_ = x.takes_begin;
  ++taken_;
  return true;
}

// What all others publish for one rank.
void Exchanger::pass_over(Rank reader) noexcept {
  for (const Stream* stream : plan_->streams)
    if (stream->peer() != reader) board_->take(stream->peer());
}

void Exchanger::combine(std::byte* to, std::uint64_t bytes, bool past_caches) {
  if (operands_.size() > 1)
    plan_->reduction.fold(operands_, to, bytes / element_bytes_, past_caches);
  else
    kernels::copy(to, static_cast<const std::byte*>(operands_[0]), bytes, past_caches);
}

bool Exchanger::is_late(Rank member) const {
  const ExchangePlan& plan = plan_->exchanges;
  for (auto t = take_; t < current().takes_end; ++t)
    for (auto o = plan.takes[t].operands_begin; o < plan.takes[t].operands_end; ++o)
      if (plan.operands[o].member == member) {
        const auto part = board_->look(member, signature_, 0);  // of another size, but there
        return part && *part == nullptr;
      }
  return false;
}

Result<bool> Exchanger::find_operands(const ExchangeTake& t, std::uint64_t at, std::uint64_t bytes) {
  while (operands_.size() < t.operands_end - t.operands_begin) {
    const ExchangeOperand& operand = plan_->exchanges.operands[t.operands_begin + operands_.size()];
    if (operand.member == kNoRank) {
      operands_.push_back(bytes > 0 ? execution_->at(operand.range) + at : nullptr);
      continue;
    }
    auto part = board_->look(operand.member, signature_, bytes);
    if (!part) return std::move(part.error());
    if (*part == nullptr) return false;
    operands_.push_back(*part);
    ++progress_;
  }
  return true;
}

}  // namespace tutti
