#include "interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

namespace tutti::interpreter {
namespace {

// A number that remembers in what order it was put together, where that matters: `text` in base `scale`.
struct Number {
  std::uint64_t text = 0, scale = 0;
  friend bool operator==(const Number&, const Number&) = default;
};

enum class Law : std::uint8_t { ordered, sum, either };

class Machine {
 public:
  Machine(const std::vector<Schedule>& ranks, bool ordered, std::uint64_t seed) : ranks_(ranks), random_(seed), seed_(seed) {
    law_ = ranks[0].collective == Collective::barrier ? Law::either : ordered ? Law::ordered : Law::sum;
    std::map<std::tuple<Rank, Rank, int>, std::pair<std::vector<Work*>, std::vector<Work*>>> streams;
    work_.resize(ranks.size());
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      set_up_memory(ranks[r]);
      work_[r].resize(ranks[r].steps.size());
      for (std::size_t i = 0; i < work_[r].size(); ++i) {
        const Step& step = ranks[r].steps[i];
        Work& w = work_[r][i];
        w.rank = r, w.index = i, w.step = &step;
        all_.push_back(&w);
        const auto me = static_cast<Rank>(r);
        if (step.kind == StepKind::send) streams[{me, step.peer, step.channel}].first.push_back(&w);
        if (step.kind == StepKind::recv || step.kind == StepKind::recv_reduce)
          streams[{step.peer, me, step.channel}].second.push_back(&w);
      }
    }
    for (auto& [key, ends] : streams) {
      auto& [senders, receivers] = ends;
      for (std::size_t k = 0; k < std::min(senders.size(), receivers.size()); ++k) {
        senders[k]->partner = receivers[k];
        receivers[k]->partner = senders[k];
        if (k > 0) senders[k]->before = senders[k - 1], receivers[k]->before = receivers[k - 1];
      }
    }
  }

  std::string run() {
    while (!all_.empty()) {
      const std::size_t start = random_() % all_.size();
      bool moved = false;
      for (std::size_t k = 0; k < all_.size() && !moved; ++k) {
        const std::size_t at = (start + k) % all_.size();
        moved = advance(*all_[at]);
      }
      if (!moved) return "nothing moves any more";
      std::erase_if(all_, [](const Work* w) { return w->state == State::complete; });
    }
    return check();
  }

 private:
  enum class State : std::uint8_t { waiting, started, complete };
  struct Work {
    std::size_t rank = 0, index = 0;
    const Step* step = nullptr;
    Work* partner = nullptr;
    Work* before = nullptr;
    State state = State::waiting;
    std::vector<Number> result;  // read, and combined, when the step started
  };
  struct Memory {
    std::vector<Number> shared, input, scratch, before;
    std::size_t input_at = 0, output_at = 0;
    bool in_place = false;
  };

  [[nodiscard]] Number value(std::size_t rank, std::uint64_t chunk) const {
    if (law_ == Law::either) return {std::uint64_t{1} << rank, 0};
    std::mt19937_64 of(seed_ ^ (rank * 0x9e3779b97f4a7c15ULL + chunk * 0xc2b2ae3d27d4eb4fULL));
    return {of(), of() | 1};
  }
  Number garbage() { return law_ == Law::either ? Number{} : Number{random_(), random_()}; }
  [[nodiscard]] Number combine(const Number& a, const Number& b) const {
    switch (law_) {
      case Law::ordered:
        return {a.text * b.scale + b.text, a.scale * b.scale};
      case Law::sum:
        return {a.text + b.text, a.scale + b.scale};
      case Law::either:
        return {a.text | b.text, 0};
    }
    return {};
  }

  void set_up_memory(const Schedule& s) {
    const std::size_t inputs = input_chunks(s.collective, s.ranks, s.chunks_per_block);
    const std::size_t outputs = output_chunks(s.collective, s.ranks, s.chunks_per_block);
    const auto own = static_cast<std::size_t>(s.rank) * s.chunks_per_block;
    Memory m;
    m.scratch.resize(s.scratch.size());
    const bool root_only = has_root(s.collective) && s.rank != s.root;
    m.in_place = s.in_place && !root_only;
    if (m.in_place && inputs < outputs) m.input_at = own;
    if (m.in_place && inputs > outputs) m.output_at = own;
    m.shared.resize(m.in_place ? std::max(inputs, outputs) : outputs);
    m.input.resize(m.in_place ? 0 : inputs);
    for (auto* cells : {&m.shared, &m.input, &m.scratch})
      for (Number& n : *cells) n = garbage();
    auto& from = m.in_place ? m.shared : m.input;
    for (std::size_t c = 0; c < inputs; ++c) from[m.input_at + c] = value(static_cast<std::size_t>(s.rank), c);
    m.before = m.shared;
    memory_.push_back(std::move(m));
  }
  Number& cell(std::size_t rank, const Slice& slice, std::size_t i) {
    Memory& m = memory_[rank];
    const std::size_t c = slice.chunk + i;
    if (slice.buffer == Buffer::scratch) return m.scratch.at(c);
    if (slice.buffer == Buffer::output) return m.shared.at(m.output_at + c);
    return m.in_place ? m.shared.at(m.input_at + c) : m.input.at(c);
  }

  bool advance(Work& w) {
    if (w.state == State::waiting) return start(w);
    const bool communicates =
        w.step->kind == StepKind::send || w.step->kind == StepKind::recv || w.step->kind == StepKind::recv_reduce;
    if (!communicates) return finish(w);
    if (w.partner == nullptr || w.partner->state != State::started) return false;
    if (w.before != nullptr && w.before->state != State::complete) return false;
    Work& send = w.step->kind == StepKind::send ? w : *w.partner;
    Work& recv = *send.partner;
    deliver(send, recv);
    send.state = State::complete;
    return finish(recv);
  }

  bool start(Work& w) {
    const Schedule& s = ranks_[w.rank];
    for (const auto d : s.dependencies(w.index))
      if (work_[w.rank][d].state != State::complete) return false;
    if (w.before != nullptr && w.before->state == State::waiting) return false;
    w.state = State::started;
    const Step& step = *w.step;
    const std::uint32_t count = step.kind == StepKind::send ? step.from.count : step.to.count;
    for (std::uint32_t i = 0; i < count; ++i) w.result.push_back(read(w.rank, s, step, i));
    if (step.kind != StepKind::send)
      for (std::uint32_t i = 0; i < count; ++i) cell(w.rank, step.to, i) = garbage();
    return true;
  }
  Number read(std::size_t rank, const Schedule& s, const Step& step, std::uint32_t i) {
    switch (step.kind) {
      case StepKind::recv:
        return {};
      case StepKind::send:
      case StepKind::copy:
      case StepKind::recv_reduce:
        return cell(rank, step.from, i);
      case StepKind::reduce: {
        const Number from = cell(rank, step.from, i), to = cell(rank, step.to, i);
        return step.from_is_left ? combine(from, to) : combine(to, from);
      }
      case StepKind::fold: {
        Number sum = cell(rank, s.operands[step.operand_begin], i);
        for (auto o = step.operand_begin + 1; o < step.operand_end; ++o) sum = combine(sum, cell(rank, s.operands[o], i));
        return sum;
      }
    }
    return {};
  }
  void deliver(const Work& send, Work& recv) {
    for (std::uint32_t i = 0; i < recv.step->to.count; ++i) {
      // What was there when the send started, or what is there now; where another message was meant, it may be too short.
      const Number sent = i >= send.result.size() ? garbage()
                          : random_() % 2 == 0    ? send.result[i]
                                                  : cell(send.rank, send.step->from, i);
      Number& own = recv.result.at(i);
      if (recv.step->kind == StepKind::recv)
        own = sent;
      else
        own = recv.step->from_is_left ? combine(own, sent) : combine(sent, own);
    }
  }
  bool finish(Work& w) {
    for (std::uint32_t i = 0; i < w.step->to.count && i < w.result.size(); ++i) cell(w.rank, w.step->to, i) = w.result[i];
    w.state = State::complete;
    return true;
  }

  [[nodiscard]] Number all_of(std::size_t first, std::size_t last, std::uint64_t chunk) const {
    Number sum = value(first, chunk);
    for (std::size_t r = first + 1; r <= last; ++r) sum = combine(sum, value(r, chunk));
    return sum;
  }
  [[nodiscard]] Number wanted(const Schedule& s, std::uint32_t c) const {
    const auto me = static_cast<std::size_t>(s.rank), root = static_cast<std::size_t>(s.root), last = ranks_.size() - 1;
    const std::uint64_t block = s.chunks_per_block;
    switch (s.collective) {
      case Collective::all_reduce:
      case Collective::reduce:
      case Collective::barrier:
        return all_of(0, last, c);
      case Collective::reduce_scatter:
        return all_of(0, last, me * block + c);
      case Collective::scan:
        return all_of(0, me, c);
      case Collective::exscan:
        return me == 0 ? memory_[0].before[c] : all_of(0, me - 1, c);
      case Collective::broadcast:
        return value(root, c);
      case Collective::scatter:
        return value(root, me * block + c);
      case Collective::all_gather:
      case Collective::gather:
        return value(c / block, c % block);
      case Collective::all_to_all:
        return value(c / block, me * block + c % block);
      case Collective::send_recv:
        break;
    }
    return {};
  }
  std::string check() {
    for (const Schedule& s : ranks_) {
      const auto r = static_cast<std::size_t>(s.rank);
      const bool has_output = (s.collective != Collective::gather && s.collective != Collective::reduce) || s.rank == s.root;
      const std::uint32_t outputs = has_output ? output_chunks(s.collective, s.ranks, s.chunks_per_block) : 0;
      for (std::uint32_t c = 0; c < outputs; ++c)
        if (cell(r, {Buffer::output, c, 1}, 0) != wanted(s, c)) return fmt::format("output[{}] of rank {} is wrong", c, r);
      const Memory& m = memory_[r];
      for (std::size_t c = 0; c < m.shared.size(); ++c)
        if ((c < m.output_at || c >= m.output_at + outputs) && m.shared[c] != m.before[c])
          return fmt::format("rank {} wrote its input", r);
    }
    return "";
  }

  const std::vector<Schedule>& ranks_;
  std::mt19937_64 random_;
  std::uint64_t seed_;
  Law law_ = Law::sum;
  std::vector<Memory> memory_;
  std::vector<std::vector<Work>> work_;
  std::vector<Work*> all_;
};

}  // namespace

std::string run(const std::vector<Schedule>& ranks, bool ordered, std::uint64_t seed) {
  return Machine(ranks, ordered, seed).run();
}

}  // namespace tutti::interpreter
