// The calls of the program: drawn, made in several ways while other things go on, and compared with the model.
#include <sys/mman.h>

#include <algorithm>

#include "player.h"

namespace tutti::stress {
namespace {

constexpr std::array kCollectives{Collective::all_reduce, Collective::all_reduce,     Collective::all_gather,
                                  Collective::broadcast,  Collective::reduce_scatter, Collective::all_to_all,
                                  Collective::send_recv};
constexpr std::size_t kRecurring = 3;
constexpr std::size_t kLargeWords = 16384;  // small calls gain nothing, and are not adopted

bool overlap(const Plan& a, const Plan& b) {
  return overlap(a.output, b.output) || overlap(a.output, b.input) || overlap(a.input, b.output);
}

}  // namespace

// ---- Which

bool Player::still_there(const Recurring& recurring) const {
  return slots_[recurring.plan.input.buffer].made == recurring.input_made &&
         slots_[recurring.plan.output.buffer].made == recurring.output_made;
}

// One that has come before, or a new one; nothing where the buffers that were drawn do not suffice.
std::optional<Plan> Player::draw_plan() {
  std::erase_if(recurring_, [this](const Recurring& r) { return !still_there(r); });
  if (!recurring_.empty() && shared_.percent(60)) return recurring_[shared_.below(recurring_.size())].plan;
  const auto plan = draw_new_plan();
  if (plan && (plan->count >= kLargeWords || shared_.percent(10)) && (recurring_.size() < kRecurring || shared_.percent(2))) {
    if (recurring_.size() == kRecurring) recurring_.erase(recurring_.begin());
    recurring_.push_back({*plan, slots_[plan->input.buffer].made, slots_[plan->output.buffer].made});
  }
  return plan;
}

std::optional<Plan> Player::draw_new_plan() {
  Plan plan;
  plan.collective = kCollectives[shared_.below(kCollectives.size())];
  plan.communicator = shared_.percent(50) ? 0 : shared_.below(splits_.size());
  plan.root = shared_.below(ranks());
  plan.in_place = plan.collective == Collective::broadcast || (plan.collective != Collective::send_recv && shared_.percent(30));
  const std::size_t input = draw_buffer(), output = draw_buffer(), first_half = slots_[input].size / 2;
  Part in{input, 0, slots_[input].size}, out{output, 0, slots_[output].size};
  if (input == output && !plan.in_place) out = {output, first_half, out.count - (in.count = first_half)};
  in = cut(in);
  out = cut(out);
  const std::size_t inputs = input_is_of_all(plan.collective) ? ranks() : 1,
                    outputs = output_is_of_all(plan.collective) ? ranks() : 1;
  plan.count = plan.in_place ? in.count / std::max(inputs, outputs) : std::min(in.count / inputs, out.count / outputs);
  if (plan.count == 0) return {};
  plan.input = {in.buffer, in.first, plan.count * (plan.in_place ? std::max(inputs, outputs) : inputs)};
  plan.output = plan.in_place ? plan.input : Part{out.buffer, out.first, plan.count * outputs};
  return plan;
}

// All of it, or some.
Part Player::cut(Part part) {
  if (part.count < 2 || shared_.percent(50)) return part;
  const std::size_t skipped = shared_.percent(30) ? 0 : shared_.below(part.count / 4 + 1);
  part.first += skipped;
  part.count -= skipped;
  if (shared_.percent(50)) part.count = 1 + shared_.below(part.count);
  return part;
}

Call Player::call_of(const Plan& plan) {
  const auto& ranks = *splits_[plan.communicator].own;
  const auto place = static_cast<std::size_t>(std::ranges::find(ranks, static_cast<Rank>(index_)) - ranks.begin());
  const Places begin = places(plan, place);
  Call call{.collective = plan.collective,
            .input = words(plan.input.buffer).data() + begin.input,
            .output = words(plan.output.buffer).data() + begin.output,
            .count = plan.count,
            .type = DataType::u32,
            .root = static_cast<Rank>(plan.root % ranks.size())};
  if (plan.collective == Collective::send_recv) {
    call.destination = static_cast<Rank>((place + 1) % ranks.size());
    call.source = static_cast<Rank>((place + ranks.size() - 1) % ranks.size());
    call.receive_count = plan.count;
  }
  return call;
}

// ---- How

void Player::calls() {
  const auto plan = draw_plan();
  if (!plan) return;
  const std::size_t way = shared_.below(100);
  if (way < 60) return run_alone(*plan);
  auto other = draw_plan();
  if (other && (overlap(*plan, *other))) other.reset();
  if (way < 85) {
    if (other && other->communicator == plan->communicator) other.reset();
    return run_beside(*plan, other);
  }
  Plans plans{*plan};
  if (other) plans.push_back(*other);
  run_together(plans);
}

void Player::run_alone(const Plan& plan) {
  tell("{}", plan.to_string());
  while_disturbed({plan}, [&] { need(splits_[plan.communicator].communicator.run(call_of(plan))); });
  finish({plan});
}

// One started, the other one done meanwhile; some ranks fork.
void Player::run_beside(const Plan& started, const std::optional<Plan>& other) {
  tell("started: {}; beside it: {}", started.to_string(), other ? other->to_string() : "nothing");
  Plans plans{started};
  if (other) plans.push_back(*other);
  while_disturbed(plans, [&] {
    auto work = splits_[started.communicator].communicator.start(call_of(started));
    if (!work) fail(work.error().to_string());
    if (own_.percent(10)) fork_a_child(plans);
    if (other) need(splits_[other->communicator].communicator.run(call_of(*other)));
    need(work->wait());
  });
  finish(plans);
}

void Player::run_together(const Plans& plans) {
  tell("in a group: {}; {}", plans[0].to_string(), plans.size() > 1 ? plans[1].to_string() : "");
  Group group;
  for (const Plan& plan : plans) need(group.add(splits_[plan.communicator].communicator, call_of(plan)));
  while_disturbed(plans, [&] { need(group.run()); });
  finish(plans);
}

void Player::finish(const Plans& plans) {
  for (const Plan& plan : plans)
    for (const auto& ranks : splits_[plan.communicator].groups) apply(plan, ranks, slots_);
  for (const Plan& plan : plans) {
    check(plan.input.buffer);
    check(plan.output.buffer);
  }
}

// ---- What goes on meanwhile

template <class Run>
void Player::while_disturbed(const Plans& plans, Run&& run) {
  std::vector<std::jthread> threads;
  std::vector<Piece*> read_only;
  for (const Plan& plan : plans) {
    if (plan.in_place) continue;
    if (own_.percent(20)) threads.push_back(reader(plan));
    const bool written = std::ranges::any_of(plans, [&](const Plan& other) { return other.output.buffer == plan.input.buffer; });
    Piece* const piece = pieces_[plan.input.buffer].get();
    if (!written && own_.percent(10) && piece->protect(PROT_READ)) read_only.push_back(piece);
  }
  written_ = own_.percent(20) ? draw_unused(plans) : std::nullopt;
  if (written_) threads.push_back(writer(*written_));
  run();
  threads.clear();
  if (written_) check(*std::exchange(written_, {}));
  for (Piece* piece : read_only) piece->protect(PROT_READ | PROT_WRITE);
}

std::optional<std::size_t> Player::draw_unused(const Plans& plans) {
  auto all = live();
  std::erase_if(all, [&](std::size_t b) {
    return std::ranges::any_of(plans, [b](const Plan& plan) { return plan.input.buffer == b || plan.output.buffer == b; });
  });
  return all.empty() ? std::nullopt : std::optional(all[own_.below(all.size())]);
}

std::jthread Player::reader(const Plan& plan) {
  const auto part = words(plan.input.buffer).subspan(plan.input.first, plan.input.count);
  const auto* wanted = expected(plan.input.buffer).data() + plan.input.first;
  return std::jthread([this, part, wanted](const std::stop_token& stop) {
    while (!stop.stop_requested())
      for (std::size_t i = 0; i < part.size(); ++i)
        if (const std::uint32_t got = part[i]; got != wanted[i])
          fail(fmt::format("a thread that reads the input finds {:#x} in its word {}, not {:#x}", got, i, wanted[i]));
  });
}

// Goes over the buffer again and again, and ends with what it held before.
std::jthread Player::writer(std::size_t buffer) {
  return std::jthread([this, buffer](const std::stop_token& stop) {
    const Words to = words(buffer);
    std::uint32_t added = 0;
    for (bool last = false; !last; last = added == 0 && stop.stop_requested()) {
      const std::uint32_t next = stop.stop_requested() ? 0 : added + 1;
      for (std::size_t i = 0; i < to.size(); ++i) {
        if (to[i] != expected(buffer)[i] + added)
          fail(fmt::format("a thread that writes buffer {} finds {:#x} in word {}, not {:#x}", buffer, to[i], i,
                           expected(buffer)[i] + added));
        to[i] = expected(buffer)[i] + next;
      }
      added = next;
    }
  });
}

}  // namespace tutti::stress
