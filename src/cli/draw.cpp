#include "cli/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <tuple>
#include <utility>
#include <vector>

#include "core/printable.h"
#include "schedule/text.h"

namespace tutti {
namespace {

constexpr Rank kMostDrawn = 64;
constexpr std::size_t kMostSteps = 10000;

// All in pixels.
constexpr int kCharacter = 6;  // width, in the 10 px font of labels
constexpr int kLeft = 84;      // of the line of rank 0: names of rounds stand there
constexpr int kTop = 132;      // of the first round: title, legend and names of ranks stand there
constexpr int kLeastPitch = 72, kLeastWidth = 760;
constexpr int kMarkHeight = 26, kPadding = 8;

std::string_view color(Buffer buffer) {
  switch (buffer) {
    case Buffer::input:
      return "#0063a6";
    case Buffer::output:
      return "#00745a";
    case Buffer::scratch:
      return "#b84a00";
  }
  return "black";
}

// Names in a file may hold any byte, XML may not.
std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!is_printable(c))
      safe += fmt::format("\\x{:02x}", byte);
    else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
      safe += fmt::format("&#{};", byte);
    else
      safe += c;
  }
  return safe;
}

std::string label(const Slice& slice) {
  if (slice.count == 1) return fmt::format("{}[{}]", name(slice.buffer), slice.chunk);
  return fmt::format("{}[{}..{}]", name(slice.buffer), slice.chunk, slice.chunk + slice.count - 1);
}

// What the slice that a step writes is made of, besides what was there or has arrived.
std::string second_label(const Step& step) {
  if (step.kind == StepKind::fold) return fmt::format("= {} together", step.operand_end - step.operand_begin);
  if (step.kind == StepKind::copy) return "= " + label(step.from);
  return step.from_is_left ? label(step.from) + " +" : "+ " + label(step.from);
}

bool is_message(const Step& step) {
  return step.kind == StepKind::send || step.kind == StepKind::recv || step.kind == StepKind::recv_reduce;
}

struct Arrow {
  Timeline::Message message;
  int lane = 0;  // arrows side by side share one
  [[nodiscard]] Rank left() const { return std::min(message.sender, message.receiver); }
  [[nodiscard]] Rank right() const { return std::max(message.sender, message.receiver); }
};

struct Mark {
  Rank rank = 0;
  std::uint32_t step = 0;
  int place = 0;  // among those of its rank and round
};

// The messages of a round, and below them the local steps that come before the next one.
struct Round {
  std::vector<Arrow> arrows;
  std::vector<Mark> marks;
  int lanes = 0, lane_height = 0, places = 0;
  int arrows_top = 0, marks_top = 0;
};

// Gives each arrow the first lane in which nothing is in its way; short ones first, so that neighbours share the topmost.
void spread(Round& round) {
  std::ranges::sort(round.arrows, {},
                    [](const Arrow& a) { return std::tuple(a.left(), a.right(), a.message.sender, a.message.send); });
  std::vector<Rank> end_of_lane;
  for (Arrow& arrow : round.arrows) {
    const auto lane = std::ranges::find_if(end_of_lane, [&](Rank end) { return end <= arrow.left(); });
    arrow.lane = static_cast<int>(lane - end_of_lane.begin());
    if (lane == end_of_lane.end()) end_of_lane.push_back(0);
    end_of_lane[static_cast<std::size_t>(arrow.lane)] = arrow.right();
  }
  round.lanes = static_cast<int>(end_of_lane.size());
}

class Drawing {
 public:
  Drawing(std::span<const Schedule> ranks, const Proof& proof) : ranks_(ranks), proof_(proof), rounds_(proof.rounds + 1) {
    for (const auto& message : proof.timeline.messages) rounds_[message.round].arrows.push_back({message});
    for (const Schedule& s : ranks) add_marks(s);
    for (Round& round : rounds_) spread(round);
    set_pitch();
    stack();
  }

  std::string svg() && {
    const int width = std::max(kLeastWidth, x(last_rank()) + pitch_);
    start(width);
    for (std::size_t r = 0; r < rounds_.size(); ++r) background(r, width);
    for (const Schedule& s : ranks_) life_line(s.rank);
    for (const Round& round : rounds_) {
      for (const Arrow& arrow : round.arrows) draw_arrow(round, arrow);
      for (const Mark& mark : round.marks) draw_mark(round, mark);
    }
    return std::move(svg_) + "</svg>\n";
  }

 private:
  [[nodiscard]] const Schedule& schedule(Rank rank) const { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Step& step(Rank rank, std::uint32_t i) const { return schedule(rank).steps[i]; }
  [[nodiscard]] Rank last_rank() const { return static_cast<Rank>(ranks_.size()) - 1; }
  [[nodiscard]] int x(Rank rank) const { return kLeft + rank * pitch_; }

  // Below an arrow: where it lands, unless the label above says so already, and what it is combined with on its way there.
  [[nodiscard]] int labels_below(const Timeline::Message& m) const {
    const Step& recv = step(m.receiver, m.recv);
    if (recv.kind == StepKind::recv_reduce) return 2;
    return recv.to == step(m.sender, m.send).from ? 0 : 1;
  }

  void add_marks(const Schedule& s) {
    std::vector<int> places(rounds_.size());
    for (std::uint32_t i = 0; i < s.steps.size(); ++i) {
      if (is_message(s.steps[i])) continue;
      const auto r = proof_.timeline.round[static_cast<std::size_t>(s.rank)][i];
      rounds_[r].marks.push_back({s.rank, i, places[r]++});
      rounds_[r].places = std::max(rounds_[r].places, places[r]);
    }
  }

  // The distance between ranks: room for the longest label.
  void set_pitch() {
    std::size_t longest = 0;
    for (const Schedule& s : ranks_)
      for (const Step& step : s.steps) {
        longest = std::max(longest, label(step.kind == StepKind::send ? step.from : step.to).size());
        if (step.kind != StepKind::send && step.kind != StepKind::recv) longest = std::max(longest, second_label(step).size());
      }
    pitch_ = std::max(kLeastPitch, static_cast<int>(longest) * kCharacter + 28);
  }

  void stack() {
    int y = kTop;
    for (Round& round : rounds_) {
      int below = 0;
      for (const Arrow& arrow : round.arrows) below = std::max(below, labels_below(arrow.message));
      round.lane_height = 20 + 10 * below;
      round.arrows_top = y;
      if (round.lanes > 0) y += round.lanes * round.lane_height + kPadding;
      round.marks_top = y;
      if (round.places > 0) y += round.places * kMarkHeight + kPadding;
    }
    bottom_ = y + kPadding;
  }

  template <class... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Values>(values)...);
    svg_ += '\n';
  }
  void text(int at_x, int y, std::string_view fill, std::string_view anchor, const std::string& words) {
    add(R"(<text x="{}" y="{}" fill="{}" text-anchor="{}">{}</text>)", at_x, y, fill, anchor, escaped(words));
  }

  void start(int width) {
    const Schedule& s = ranks_.front();
    const auto title = fmt::format("{} {}, {} rank{}, {} round{}", name(s.collective), s.algorithm, s.ranks,
                                   s.ranks == 1 ? "" : "s", proof_.rounds, proof_.rounds == 1 ? "" : "s");
    add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}">)", width, bottom_);
    add("<title>{}</title>", escaped(title));
    add("<style>text {{font: 10px monospace}} .title {{font: bold 16px sans-serif}} .note {{font: 11px sans-serif}} "
        ".message line {{stroke-width: 1.5}}</style>");
    for (const Buffer b : kBuffers)
      add(R"(<marker id="head-{}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto" )"
          R"(markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="{}"/></marker>)",
          name(b), color(b));
    add(R"(<rect width="{}" height="{}" fill="white"/>)", width, bottom_);
    add(R"(<text class="title" x="16" y="26">{}</text>)", escaped(title));
    add(R"(<text class="note" x="16" y="44">{} messages, {} chunk{} per block{}; rounds go down</text>)", proof_.messages,
        s.chunks_per_block, s.chunks_per_block == 1 ? "" : "s", has_root(s.collective) ? fmt::format(", root {}", s.root) : "");
    legend();
  }

  void legend() {
    int at = 16;
    for (const Buffer b : kBuffers) {
      add(R"(<rect x="{}" y="54" width="10" height="10" fill="{}"/>)", at, color(b));
      add(R"(<text class="note" x="{}" y="63">{}</text>)", at + 15, name(b));
      at += 68;
    }
    copy_sign(at + 12, 59, "#333");
    add(R"(<text class="note" x="{}" y="63">copy</text>)", at + 22);
    reduce_sign(at + 68, 59, "#333");
    add(R"(<text class="note" x="{}" y="63">reduce</text>)", at + 78);
    add(R"(<text class="note" x="16" y="80">above an arrow: what is sent; below it: where that lands, if elsewhere; )"
        R"(beside a sign: what is written, and from what</text>)");
    add(R"(<text class="note" x="16" y="96">"+ a": what was there, or arrives, and a, in this order; "a +": the other way round</text>)");
  }

  void background(std::size_t r, int width) {
    const Round& round = rounds_[r];
    if (round.arrows.empty()) return;
    add(R"(<rect y="{}" width="{}" height="{}" fill="#f1f2f4"/>)", round.arrows_top, width,
        round.marks_top - round.arrows_top - 2);
    text(12, round.arrows_top + 17, "#333", "start", fmt::format("round {}", r));
  }

  void life_line(Rank rank) {
    text(x(rank), kTop - 14, "black", "middle", fmt::format("rank {}", rank));
    add(R"(<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" stroke="#999"/>)", x(rank), kTop - 8, bottom_ - kPadding);
  }

  void tooltip(Rank rank, std::uint32_t i, std::string_view end) {
    svg_ += escaped(fmt::format("rank {} step {}: {}", rank, i, step_text(schedule(rank), step(rank, i))));
    svg_ += end;
  }

  void draw_arrow(const Round& round, const Arrow& arrow) {
    const Timeline::Message& m = arrow.message;
    const Step& recv = step(m.receiver, m.recv);
    const Slice &from = step(m.sender, m.send).from, &to = recv.to;
    const bool reduced = recv.kind == StepKind::recv_reduce;
    const int below = labels_below(m);
    const int y = round.arrows_top + arrow.lane * round.lane_height + 18, way = m.receiver > m.sender ? 1 : -1;
    svg_ += R"(<g class="message"><title>)";
    tooltip(m.sender, m.send, "; ");
    tooltip(m.receiver, m.recv, "</title>\n");
    add(R"(<circle cx="{}" cy="{}" r="2.5" fill="{}"/>)", x(m.sender), y, color(from.buffer));
    add(R"(<line x1="{0}" y1="{1}" x2="{2}" y2="{1}" stroke="{3}" marker-end='url(#head-{4})'/>)", x(m.sender) + 3 * way, y,
        x(m.receiver) - (reduced ? 7 : 3) * way, color(from.buffer), name(from.buffer));
    text(x(m.sender) + way * pitch_ / 2, y - 4, color(from.buffer), "middle", label(from));
    if (below > 0) text(x(m.receiver) - way * pitch_ / 2, y + 11, color(to.buffer), "middle", label(to));
    if (below > 1) text(x(m.receiver) - way * pitch_ / 2, y + 21, color(recv.from.buffer), "middle", second_label(recv));
    if (reduced) reduce_sign(x(m.receiver), y, color(to.buffer));
    svg_ += "</g>\n";
  }

  void draw_mark(const Round& round, const Mark& mark) {
    const Step& s = step(mark.rank, mark.step);
    const int at = x(mark.rank), y = round.marks_top + mark.place * kMarkHeight + 16;
    const auto operand = s.kind == StepKind::fold ? "#333" : color(s.from.buffer);
    add(R"(<g class="step {}">)", name(s.kind));
    svg_ += "<title>";
    tooltip(mark.rank, mark.step, "</title>\n");
    s.kind == StepKind::copy ? copy_sign(at, y, color(s.to.buffer)) : reduce_sign(at, y, color(s.to.buffer));
    text(at + 9, y - 1, color(s.to.buffer), "start", label(s.to));
    text(at + 9, y + 10, operand, "start", second_label(s));
    svg_ += "</g>\n";
  }

  void copy_sign(int at, int y, std::string_view ink) {
    add(R"(<rect x="{}" y="{}" width="8" height="8" fill="{}"/>)", at - 4, y - 4, ink);
  }
  void reduce_sign(int at, int y, std::string_view ink) {
    add(R"(<circle cx="{}" cy="{}" r="5.5" fill="white" stroke="{}"/>)", at, y, ink);
    add(R"(<path d="M{} {}h7m-3.5 -3.5v7" stroke="{}" fill="none"/>)", at - 3.5, y, ink);
  }

  static constexpr Buffer kBuffers[] = {Buffer::input, Buffer::output, Buffer::scratch};

  std::span<const Schedule> ranks_;
  const Proof& proof_;
  std::vector<Round> rounds_;  // [0]: local steps that wait for no message
  int pitch_ = 0, bottom_ = 0;
  std::string svg_;
};

}  // namespace

Status check_drawable(Rank ranks, std::size_t steps) {
  if (ranks > kMostDrawn)
    return Error(Code::invalid_argument,
                 fmt::format("{} ranks are too many to be drawn; at most {} fit into a picture", ranks, kMostDrawn));
  if (steps > kMostSteps)
    return Error(Code::invalid_argument,
                 fmt::format("{} steps are too many to be drawn; at most {} fit into a picture", steps, kMostSteps));
  return {};
}

std::string draw(std::span<const Schedule> ranks, const Proof& proof) { return Drawing(ranks, proof).svg(); }

}  // namespace tutti
