#include "transports/verbs/inbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/log.h"

namespace tutti::verbs {

void Inbox::post(const Signature& expected, const Sink& sink) {
  Message& message = messages_.push({});
  message.number = next_++;
  message.expected = expected;
  message.sink = sink;
}

// Whether a large message is awaited that can be answered.
bool Inbox::may_answer(const Link& link) noexcept {
  while (looked_at_ < messages_.size() && messages_[looked_at_].sink.size <= link.channel.ask_from()) ++looked_at_;
  return looked_at_ < messages_.size() && answers_ < kAnswers && link.channel.room_for_answer();
}

// Says where it goes.
Status Inbox::answer(Link& link) {
  Message& message = messages_[looked_at_++];
  const Bytes memory{message.sink.data, message.sink.size};
  Answer answer{.message = message.number, .bytes = memory.size()};
  if (message.sink.consumer == nullptr && (memory.size() >= link.tuning.place_from || link.registrations->cheap(memory))) {
    auto registered = link.registrations->use(memory, Registrations::For::writing);
    if (registered) {
      message.memory = *std::move(registered);
      answer.into_memory = 1;
      answer.address = reinterpret_cast<std::uint64_t>(memory.data());
      for (std::size_t rail = 0; rail < link.devices.size(); ++rail)
        answer.keys[rail] = message.memory.remote_key(link.devices[rail]);
    } else if (log_enabled(LogLevel::debug)) {
      log(LogLevel::debug, fmt::format("verbs: a message is copied, as {}", registered.error().to_string()));
    }
  }
  message.answered = true;
  ++answers_;
  return link.channel.post_answer(answer);
}

void Inbox::take_piece(Message& message, ConstBytes piece) {
  if (piece.empty()) return;
  if (message.sink.consumer != nullptr)
    message.sink.consumer->consume(message.arrived, piece);
  else
    std::memcpy(message.sink.data + message.arrived, piece.data(), piece.size());
  message.arrived += piece.size();
}

Status Inbox::take(Link& link, Message& message, const Record& record) {
  const Rank peer = link.channel.peer();
  const std::size_t bytes = message.sink.size;
  if (record.signature != message.expected || record.message_bytes != bytes)
    return mismatch(message.expected, bytes, record.signature, record.message_bytes, peer);
  const bool piece = record.kind == RecordKind::piece;
  if (record.bytes > bytes - message.arrived || (!piece && record.bytes > 0) || (piece && record.bytes == 0 && bytes > 0) ||
      (record.kind == RecordKind::placed && !message.memory))
    return Error(Code::protocol,
                 fmt::format("rank {} has sent {} bytes too many of a message: its stream is corrupt", peer, record.bytes), peer);
  if (piece) {
    take_piece(message, link.channel.payload());
    message.whole = message.arrived == bytes;
  }
  if (record.kind != RecordKind::placed) return {};
  message.whole = message.placed = true;
  for (std::size_t rail = 1; rail < link.channel.rails(); ++rail)
    if (link.stripes.part(bytes, rail).bytes > 0) ++placed_[rail];
  return {};
}

bool Inbox::finished(Link& link, const Message& message) const {
  if (!message.whole || !message.placed) return message.whole;
  for (std::size_t rail = 1; rail < link.channel.rails(); ++rail)
    if (link.channel.placed(rail) < placed_[rail]) return false;
  return true;
}

// Takes the records of the oldest message that is awaited. Whether it is finished.
Result<bool> Inbox::receive(Link& link, Message& message, bool& moved) {
  while (!message.whole && link.channel.has_record()) {
    auto record = link.channel.front();
    if (!record) return std::move(record.error());
    if (Status taken = take(link, message, **record); !taken) return std::move(taken.error());
    link.channel.take();
    moved = true;
  }
  return finished(link, message);
}

Result<Moved> Inbox::pump(Link& link) {
  Moved moved;
  while (!messages_.empty()) {
    while (may_answer(link)) {
      if (Status answered = answer(link); !answered) return std::move(answered.error());
      moved.any = true;
    }
    auto done = receive(link, messages_.front(), moved.any);
    if (!done) return std::move(done.error());
    if (!*done) break;
    answers_ -= messages_.front().answered ? 1 : 0;
    looked_at_ -= std::min<std::size_t>(looked_at_, 1);
    messages_.pop();
    ++moved.finished;
    moved.any = true;
  }
  return moved;
}

}  // namespace tutti::verbs
