#include "transports/verbs/outbox.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/log.h"

namespace tutti::verbs {

void Outbox::post(const Signature& signature, ConstBytes data) {
  Message& message = messages_.push({});
  message.number = next_++;
  message.signature = signature;
  message.data = data;
}

Result<bool> Outbox::send_small(Link& link, const Signature& signature, ConstBytes data) {
  if (data.size() > link.channel.most_in_record() || data.size() > link.channel.ask_from() ||
      !link.channel.room_for_record(data.size()))
    return false;
  if (auto posted = link.channel.post_record(RecordKind::piece, signature, data.size(), data); !posted)
    return std::move(posted.error());
  ++next_;
  return true;
}

// Finds out how the message travels.
Status Outbox::start(Link& link, Message& message, bool& moved) {
  const std::size_t bytes = message.data.size();
  if (bytes <= link.channel.ask_from()) {
    message.stage = Stage::in_pieces;
    return {};
  }
  // Where the receiver expects another size, it gets no bytes, but is told what there is.
  if (const Answer* answer = link.channel.answer_to(message.number); answer != nullptr && answer->bytes == bytes) {
    take_answer(link, message, *answer);
    moved = true;
    return {};
  }
  if (message.stage != Stage::fresh || !link.channel.room_for_record(0)) return {};
  message.stage = Stage::announced;
  moved = true;
  auto posted = link.channel.post_record(RecordKind::announced, message.signature, bytes, {});
  return posted ? Status{} : std::move(posted.error());
}

void Outbox::take_answer(Link& link, Message& message, const Answer& answer) {
  message.answer = answer;
  message.stage = Stage::in_pieces;
  const Bytes memory{const_cast<std::byte*>(message.data.data()), message.data.size()};  // it is only read
  const bool placed = answer.into_memory == 1;
  if (!placed && memory.size() < link.tuning.place_from && !link.registrations->cheap(memory)) return;
  auto registered = link.registrations->use(memory, Registrations::For::reading);
  if (registered) {
    message.memory = *std::move(registered);
    if (placed) message.stage = Stage::placing;
  } else if (log_enabled(LogLevel::debug)) {
    log(LogLevel::debug, fmt::format("verbs: a message is copied, as {}", registered.error().to_string()));
  }
}

Status Outbox::send_pieces(Link& link, Message& message, bool& moved) {
  const std::size_t bytes = message.data.size();
  std::optional<std::uint32_t> key;
  if (message.memory) key = message.memory.local_key(link.devices[0]);
  do {
    const std::size_t piece = std::min(bytes - message.sent, link.channel.most_in_record());
    if (!link.channel.room_for_record(piece)) return {};
    auto posted =
        link.channel.post_record(RecordKind::piece, message.signature, bytes, message.data.subspan(message.sent, piece), key);
    if (!posted) return std::move(posted.error());
    moved = true;
    message.sent += piece;
    if (key) message.rail[0].last = *posted;
  } while (message.sent < bytes);
  message.stage = Stage::posted;
  message.signal = link.channel.signals_sent();
  return {};
}

// Writes of the message's part on this rail. true: all have been posted.
Result<bool> Outbox::place_on(Link& link, Message& message, std::size_t rail, bool& moved) {
  QueuePair& pair = link.channel.rail(rail);
  OnRail& on = message.rail[rail];
  const Stripes::Part part = link.stripes.part(message.data.size(), rail);
  // Only what a completion is certain to come for: nobody learns by itself that small records behind it have arrived.
  const auto under_way = [&] { return std::max(pair.reported(), pair.completed()) - pair.completed(); };
  while (on.done < part.bytes) {
    if (!pair.room() || under_way() >= static_cast<std::uint64_t>(link.tuning.writes)) return false;
    const std::size_t offset = part.offset + on.done;
    const std::size_t bytes = std::min({part.bytes - on.done, link.tuning.write_bytes, std::size_t{pair.port().most_bytes}});
    const bool last = on.done + bytes == part.bytes;
    const std::size_t device = link.devices[rail];
    Write write{.from = message.data.data() + offset,
                .bytes = bytes,
                .local_key = message.memory.local_key(device),
                .to = message.answer.address + offset,
                .remote_key = message.answer.keys[rail],
                .report = true,
                .what = "of a message"};
    if (last && rail > 0) write.signal = Signal{SignalKind::placed, 0};
    auto posted = pair.post(write);
    if (!posted) return std::move(posted.error());
    on.last = *posted;
    on.done += bytes;
    moved = true;
  }
  return true;
}

// The record on the first rail arrives behind what was written there.
Status Outbox::place(Link& link, Message& message, bool& moved) {
  bool all = true;
  for (std::size_t rail = 0; rail < link.channel.rails(); ++rail) {
    auto done = place_on(link, message, rail, moved);
    if (!done) return std::move(done.error());
    all &= *done;
  }
  if (!all || !link.channel.room_for_record(0)) return {};
  if (auto posted = link.channel.post_record(RecordKind::placed, message.signature, message.data.size(), {}); !posted)
    return std::move(posted.error());
  moved = true;
  message.stage = Stage::posted;
  message.signal = link.channel.signals_sent();
  return {};
}

Status Outbox::advance(Link& link, Message& message, bool& moved) {
  if (message.stage == Stage::fresh || message.stage == Stage::announced)
    if (Status started = start(link, message, moved); !started) return started;
  if (message.stage == Stage::placing) return place(link, message, moved);
  if (message.stage == Stage::in_pieces) return send_pieces(link, message, moved);
  return {};
}

bool Outbox::complete(Link& link, const Message& message) const {
  for (std::size_t rail = 0; rail < link.channel.rails(); ++rail)
    if (link.channel.rail(rail).completed() < message.rail[rail].last) return false;
  return true;
}

Result<Moved> Outbox::pump(Link& link) {
  Moved moved;
  while (started_ < messages_.size()) {
    Message& message = messages_[started_];
    if (Status advanced = advance(link, message, moved.any); !advanced) return std::move(advanced.error());
    if (message.stage != Stage::posted) break;
    ++started_;
  }
  retire(moved, [&](const Message& message) { return complete(link, message); });
  return moved;
}

Moved Outbox::conclude(Link& link) {
  Moved moved;
  retire(moved, [&](const Message& message) { return message.signal <= link.channel.signals_taken(); });
  return moved;
}

template <class Done>
void Outbox::retire(Moved& moved, Done&& done) {
  for (; started_ > 0 && done(messages_.front()); --started_) {
    messages_.pop();
    ++moved.finished;
    moved.any = true;
  }
}

}  // namespace tutti::verbs
