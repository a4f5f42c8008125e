// The text form of schedules:
//
//   # comments run to the end of the line
//   schedule all_reduce ring rank 0 of 2 chunks 2      (then: root 1, in_place, where they apply)
//   scratch 0:2                                        (data chunks whose size scratch[0], scratch[1], ... have)
//   copy input[0:2] -> output[0:2]
//   send output[0] -> 1
//   recv 1 -> scratch[1] channel 2
//   reduce scratch[1] -> output[1]                     (output = output + scratch; reduce_left: scratch + output)
//   recv_reduce output[1] + 1 -> output[1]             (1 + output[1]: the arrival comes first)
//   fold input[0] + scratch[0] + scratch[1] -> output[0] after 0 2
//
// "after" lists the steps (counted from 0) that must be complete before; "after none" says that there are none. Steps
// without it wait for whatever their slices conflict with.
#include "schedule/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>

#include "core/printable.h"
#include "schedule/access.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxSchedules = std::size_t{1} << 17;
constexpr std::size_t kMaxSteps = std::size_t{1} << 22;    // of all schedules
constexpr std::size_t kMaxScratch = std::size_t{1} << 24;  // chunks, of all schedules
constexpr std::uint64_t kMaxNumber = 0x7fffffff;
constexpr std::uint64_t kMaxOverlaps = std::uint64_t{1} << 24;  // pieces of slices looked at to find dependencies

constexpr std::array kBuffers{Buffer::input, Buffer::output, Buffer::scratch};

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
         c == '.';
}

std::string quoted(std::string_view name) {
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_plain)) return std::string(name);
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\')
      text += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      text += c;
  }
  return text + '"';
}

std::string channel_text(const Step& step) { return step.channel == 0 ? "" : fmt::format(" channel {}", step.channel); }

std::string scratch_text(const ChunkList& scratch) {
  constexpr int kRangesPerLine = 16;
  std::string text;
  int ranges = 0;
  scratch.for_each_range([&](std::uint32_t first, std::uint32_t count) {
    text += ranges % kRangesPerLine == 0 ? (ranges == 0 ? "scratch" : "\nscratch") : "";
    text += count == 1 ? fmt::format(" {}", first) : fmt::format(" {}:{}", first, std::uint64_t{first} + count);
    ++ranges;
  });
  return scratch.empty() ? text : text + '\n';
}

std::string after_text(std::span<const std::uint32_t> dependencies) {
  if (dependencies.empty()) return " after none";
  return fmt::format(" after {}", fmt::join(dependencies, " "));
}

// One line of text, read from left to right. Every reader says what it expected when it finds something else.
class Line {
 public:
  Line(std::string_view text, std::size_t number) : text_(text), number_(number) {}

  [[nodiscard]] std::size_t line_number() const noexcept { return number_; }
  [[nodiscard]] bool at_end() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    return at_ == text_.size() || text_[at_] == '#';
  }
  // The word here, if it is this one, is consumed.
  bool accept(std::string_view word) {
    if (at_end() || next() != word) return false;
    at_ += word.size();
    return true;
  }
  Status expect(std::string_view word) {
    if (accept(word)) return {};
    return expected(fmt::format("'{}'", word));
  }
  Status expect_end() {
    if (at_end()) return {};
    return expected("nothing more");
  }
  [[nodiscard]] std::string_view word() {
    if (at_end()) return {};
    const auto found = next();
    at_ += found.size();
    return found;
  }
  Result<std::uint32_t> number(std::string_view what, std::uint64_t most = kMaxNumber) {
    const auto back = at_;
    const auto value = digits(at_end() ? std::string_view{} : next());
    if (!value || *value > most) {
      at_ = back;
      return expected(fmt::format("{} (a number up to {})", what, most));
    }
    at_ += next().size();
    return static_cast<std::uint32_t>(*value);
  }
  [[nodiscard]] bool number_follows() { return !at_end() && text_[at_] >= '0' && text_[at_] <= '9'; }
  // "3" or "3:7"
  Result<Slice> range(std::string_view what) {
    if (at_end()) return expected(what);
    auto found = parse_range(next());
    if (!found) return expected(what);
    at_ += next().size();
    return *found;
  }
  Result<Slice> slice() {
    constexpr std::string_view kWhat = "a slice such as input[0], output[2:4] (chunks 2 and 3) or scratch[1]";
    if (at_end()) return expected(kWhat);
    const auto text = next();
    const auto open = text.find('[');
    if (open == std::string_view::npos || text.back() != ']') return expected(kWhat);
    const auto buffer = std::find_if(kBuffers.begin(), kBuffers.end(), [&](Buffer b) { return name(b) == text.substr(0, open); });
    auto found = parse_range(text.substr(open + 1, text.size() - open - 2));
    if (buffer == kBuffers.end() || !found) return expected(kWhat);
    found->buffer = *buffer;
    at_ += text.size();
    return *found;
  }
  Result<std::string> quoted_name() {
    if (at_end() || text_[at_] != '"') {
      const auto plain = word();
      if (plain.empty() || !std::all_of(plain.begin(), plain.end(), is_plain)) return expected("an algorithm's name");
      return std::string(plain);
    }
    std::string found;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return found;
      }
      if (text_[at_] != '\\') {
        found += text_[at_];
      } else if (auto c = escaped(); c) {
        found += *c;
      } else {
        return expected("\\\\, \\\" or \\x and two hexadecimal digits");
      }
    }
    return expected("a closing quote");
  }
  [[nodiscard]] Error error(std::string_view why) const { return {Code::protocol, fmt::format("line {}: {}", number_, why)}; }
  [[nodiscard]] Error expected(std::string_view what) {
    constexpr std::size_t kShown = 40;
    const bool end = at_end();
    const auto found = end ? std::string_view{} : next();
    return error(fmt::format("expected {}, found {}", what, end ? "the end of the line" : shown(found.substr(0, kShown))));
  }

 private:
  [[nodiscard]] std::string_view next() const {
    const auto end = std::min(text_.size(), text_.find_first_of(" \t\r#", at_));
    return text_.substr(at_, end - at_);
  }
  static std::string shown(std::string_view text) { return fmt::format("'{}'", printable(std::string(text))); }
  static std::optional<std::uint64_t> digits(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > kMaxNumber) return std::nullopt;
    return value;
  }
  static std::optional<Slice> parse_range(std::string_view text) {
    const auto colon = text.find(':');
    const auto first = digits(text.substr(0, colon));
    if (!first) return std::nullopt;
    const auto end = colon == std::string_view::npos ? std::optional(*first + 1) : digits(text.substr(colon + 1));
    if (!end || *end <= *first || *end > kMaxNumber) return std::nullopt;
    return Slice{Buffer::input, static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*end - *first)};
  }
  // Behind a backslash; leaves at_ on the last character of the escape.
  std::optional<char> escaped() {
    if (++at_ >= text_.size()) return std::nullopt;
    if (text_[at_] == '"' || text_[at_] == '\\') return text_[at_];
    if (text_[at_] != 'x' || at_ + 2 >= text_.size()) return std::nullopt;
    unsigned value = 0;
    const char* begin = text_.data() + at_ + 1;
    if (const auto [end, error] = std::from_chars(begin, begin + 2, value, 16); error != std::errc{} || end != begin + 2)
      return std::nullopt;
    at_ += 2;
    return static_cast<char>(value);
  }

  std::string_view text_;
  std::size_t number_;
  std::size_t at_ = 0;
};

// How many pieces the slices of a schedule have when each is cut at every other's ends: what finding dependencies costs.
std::uint64_t overlaps(const Schedule& schedule) {
  std::array<std::vector<std::uint32_t>, 3> ends;
  const auto each = [&](auto&& visit) {
    for (const Step& step : schedule.steps) {
      for_each_read(schedule, step, visit);
      for_each_write(step, visit);
    }
  };
  each([&](const Slice& s) {
    auto& of_buffer = ends[static_cast<std::size_t>(s.buffer)];
    of_buffer.push_back(s.chunk);
    of_buffer.push_back(s.chunk + s.count);
  });
  for (auto& e : ends) {
    std::sort(e.begin(), e.end());
    e.erase(std::unique(e.begin(), e.end()), e.end());
  }
  std::uint64_t pieces = 0;
  each([&](const Slice& s) {
    const auto& e = ends[static_cast<std::size_t>(s.buffer)];
    pieces += static_cast<std::uint64_t>(std::lower_bound(e.begin(), e.end(), s.chunk + s.count) -
                                         std::lower_bound(e.begin(), e.end(), s.chunk));
  });
  return pieces;
}

class Parser {
 public:
  Result<std::vector<Schedule>> parse(std::string_view text) {
    if (text.size() > kMaxTextBytes)
      return Error(Code::protocol,
                   fmt::format("a schedule text of {} bytes is too long; at most {} are read", text.size(), kMaxTextBytes));
    for (std::size_t number = 1; !text.empty(); ++number) {
      const auto end = std::min(text.size(), text.find('\n'));
      Line line(text.substr(0, end), number);
      if (auto status = parse_line(line); !status) return std::move(status.error());
      text.remove_prefix(std::min(text.size(), end + 1));
    }
    if (auto status = finish_schedule(); !status) return std::move(status.error());
    if (schedules_.empty())
      return Error(Code::protocol,
                   "no schedule in the text; each begins with a line such as 'schedule all_reduce ring rank 0 of 4 chunks 4'");
    return std::move(schedules_);
  }
  // Where the schedules begin.
  [[nodiscard]] std::vector<std::size_t>& lines() noexcept { return lines_; }

 private:
  Status parse_line(Line& line) {
    if (line.at_end()) return {};
    if (line.accept("schedule")) return begin_schedule(line);
    if (schedules_.empty()) return line.expected("'schedule' before anything else");
    if (line.accept("scratch")) return parse_scratch(line);
    if (++steps_ > kMaxSteps) return line.error(fmt::format("more than {} steps", kMaxSteps));
    if (auto status = parse_step(line); !status) return status;
    if (auto status = parse_after(line); !status) return status;
    return line.expect_end();
  }

  Status begin_schedule(Line& line) {
    if (auto status = finish_schedule(); !status) return status;
    if (schedules_.size() == kMaxSchedules) return line.error(fmt::format("more than {} schedules", kMaxSchedules));
    Schedule s;
    const auto collective = line.word();
    const auto parsed = parse_collective(collective);
    if (!parsed) return line.error("expected a collective such as all_reduce behind 'schedule'");
    s.collective = *parsed;
    auto algorithm = line.quoted_name();
    if (!algorithm) return std::move(algorithm.error());
    s.algorithm = *std::move(algorithm);
    if (auto status = parse_place(line, s); !status) return status;
    begins_at_ = line;
    lines_.push_back(line.line_number());
    schedules_.push_back(std::move(s));
    return line.expect_end();
  }
  static Status parse_place(Line& line, Schedule& s) {
    const auto value = [&](std::string_view word, auto& into) -> Status {
      if (auto status = line.expect(word); !status) return status;
      auto number = line.number(word);
      if (!number) return std::move(number.error());
      into = static_cast<std::remove_reference_t<decltype(into)>>(*number);
      return {};
    };
    if (auto status = value("rank", s.rank); !status) return status;
    if (auto status = value("of", s.ranks); !status) return status;
    if (auto status = value("chunks", s.chunks_per_block); !status) return status;
    if (line.accept("root")) {
      auto root = line.number("a rank");
      if (!root) return std::move(root.error());
      s.root = static_cast<Rank>(*root);
    }
    s.in_place = line.accept("in_place");
    if (s.rank >= s.ranks) return line.error(fmt::format("there is no rank {} of {}", s.rank, s.ranks));
    if (s.root >= s.ranks) return line.error(fmt::format("the root is rank {} of {}", s.root, s.ranks));
    if (s.chunks_per_block == 0) return line.error("a block has at least one chunk");
    return {};
  }

  Status parse_scratch(Line& line) {
    if (!current().steps.empty()) return line.error("scratch must be declared before the first step");
    while (!line.at_end()) {
      auto range = line.range("numbers of data chunks such as 3 or 0:4 (0 to 3)");
      if (!range) return std::move(range.error());
      if (scratch_ += range->count; scratch_ > kMaxScratch)
        return line.error(fmt::format("more than {} chunks of scratch", kMaxScratch));
      current().scratch.append(range->chunk, range->count);
    }
    return {};
  }

  Status parse_step(Line& line) {
    Step step;
    Status status;
    if (line.accept("send")) {
      step.kind = StepKind::send;
      status = then({[&] { return slice(line, step.from); }, [&] { return line.expect("->"); }, [&] { return peer(line, step); },
                     [&] { return channel(line, step); }});
    } else if (line.accept("recv")) {
      step.kind = StepKind::recv;
      status = then({[&] { return peer(line, step); }, [&] { return target(line, step); }, [&] { return channel(line, step); }});
    } else if (line.accept("copy")) {
      step.kind = StepKind::copy;
      status = then({[&] { return slice(line, step.from); }, [&] { return target(line, step); }});
    } else if (line.accept("reduce")) {
      step.kind = StepKind::reduce;
      status = then({[&] { return slice(line, step.from); }, [&] { return target(line, step); }});
    } else if (line.accept("reduce_left")) {
      step.kind = StepKind::reduce;
      step.from_is_left = true;
      status = then({[&] { return slice(line, step.from); }, [&] { return target(line, step); }});
    } else if (line.accept("recv_reduce")) {
      step.kind = StepKind::recv_reduce;
      step.from_is_left = !line.number_follows();
      const auto own = [&] { return slice(line, step.from); };
      const auto arrival = [&] { return peer(line, step); };
      const auto plus = [&] { return line.expect("+"); };
      status = step.from_is_left ? then({own, plus, arrival}) : then({arrival, plus, own});
      if (status) status = then({[&] { return target(line, step); }, [&] { return channel(line, step); }});
    } else if (line.accept("fold")) {
      step.kind = StepKind::fold;
      status = then({[&] { return operands(line, step); }, [&] { return target(line, step); }});
    } else {
      status = line.expected("a step: send, recv, copy, reduce, reduce_left, recv_reduce or fold");
    }
    if (status) current().steps.push_back(step);
    return status;
  }

  static Status then(std::initializer_list<std::function<Status()>> readers) {
    for (const auto& read : readers)
      if (auto status = read(); !status) return status;
    return {};
  }
  static Status slice(Line& line, Slice& into) {
    auto found = line.slice();
    if (!found) return std::move(found.error());
    into = *found;
    return {};
  }
  static Status target(Line& line, Step& step) {
    if (auto status = line.expect("->"); !status) return status;
    return slice(line, step.to);
  }
  Status peer(Line& line, Step& step) {
    auto rank = line.number("a rank", static_cast<std::uint64_t>(current().ranks) - 1);
    if (!rank) return std::move(rank.error());
    step.peer = static_cast<Rank>(*rank);
    return {};
  }
  static Status channel(Line& line, Step& step) {
    if (!line.accept("channel")) return {};
    auto number = line.number("a channel", UINT16_MAX);
    if (!number) return std::move(number.error());
    step.channel = static_cast<std::uint16_t>(*number);
    return {};
  }
  Status operands(Line& line, Step& step) {
    auto& all = current().operands;
    step.operand_begin = static_cast<std::uint32_t>(all.size());
    do {
      Slice operand;
      if (auto status = slice(line, operand); !status) return status;
      all.push_back(operand);
    } while (line.accept("+"));
    step.operand_end = static_cast<std::uint32_t>(all.size());
    return {};
  }

  Status parse_after(Line& line) {
    const auto step = current().steps.size() - 1;
    if (!line.accept("after")) return {};
    auto& list = after_.emplace_back(step, std::vector<std::uint32_t>{}).second;
    if (line.accept("none")) return {};
    if (step == 0) return line.error("the first step has nothing to wait for");
    do {
      auto on = line.number("an earlier step", step - 1);
      if (!on) return std::move(on.error());
      list.push_back(*on);
    } while (!line.at_end());
    return {};
  }

  // Dependencies of the schedule that ends here.
  Status finish_schedule() {
    if (schedules_.empty()) return {};
    Schedule& s = current();
    if (after_.size() < s.steps.size() && overlaps(s) > kMaxOverlaps)
      return begins_at_->error("the slices of this schedule overlap in too many ways to find its dependencies");
    derive_dependencies(s);
    if (!after_.empty()) replace_dependencies(s);
    after_.clear();
    return {};
  }
  void replace_dependencies(Schedule& s) const {
    std::vector<std::uint32_t> begin{0}, list;
    auto given = after_.begin();
    for (std::size_t i = 0; i < s.steps.size(); ++i) {
      const bool own = given != after_.end() && given->first == i;
      const auto from = own ? std::span<const std::uint32_t>(given->second) : s.dependencies(i);
      list.insert(list.end(), from.begin(), from.end());
      begin.push_back(static_cast<std::uint32_t>(list.size()));
      if (own) ++given;
    }
    s.dependency_begin = std::move(begin);
    s.dependency_list = std::move(list);
  }

  Schedule& current() { return schedules_.back(); }

  std::vector<Schedule> schedules_;
  std::vector<std::size_t> lines_;
  std::optional<Line> begins_at_;
  std::vector<std::pair<std::size_t, std::vector<std::uint32_t>>> after_;  // of the current schedule: step, what it waits for
  std::size_t steps_ = 0, scratch_ = 0;
};

}  // namespace

std::string slice_text(const Slice& slice) {
  if (slice.count == 1) return fmt::format("{}[{}]", name(slice.buffer), slice.chunk);
  return fmt::format("{}[{}:{}]", name(slice.buffer), slice.chunk, std::uint64_t{slice.chunk} + slice.count);
}

std::string step_text(const Schedule& schedule, const Step& step) {
  const auto from = [&] { return slice_text(step.from); };
  const auto to = [&] { return slice_text(step.to); };
  switch (step.kind) {
    case StepKind::send:
      return fmt::format("send {} -> {}{}", from(), step.peer, channel_text(step));
    case StepKind::recv:
      return fmt::format("recv {} -> {}{}", step.peer, to(), channel_text(step));
    case StepKind::copy:
      return fmt::format("copy {} -> {}", from(), to());
    case StepKind::reduce:
      return fmt::format("{} {} -> {}", step.from_is_left ? "reduce_left" : "reduce", from(), to());
    case StepKind::recv_reduce:
      if (step.from_is_left) return fmt::format("recv_reduce {} + {} -> {}{}", from(), step.peer, to(), channel_text(step));
      return fmt::format("recv_reduce {} + {} -> {}{}", step.peer, from(), to(), channel_text(step));
    case StepKind::fold: {
      std::string text = "fold";
      for (auto o = step.operand_begin; o < step.operand_end && o < schedule.operands.size(); ++o)
        text += fmt::format("{} {}", o == step.operand_begin ? "" : " +", slice_text(schedule.operands[o]));
      return text + " -> " + to();
    }
  }
  return "?";
}

std::string print(const Schedule& schedule) {
  std::string text = fmt::format("schedule {} {} rank {} of {} chunks {}", name(schedule.collective), quoted(schedule.algorithm),
                                 schedule.rank, schedule.ranks, schedule.chunks_per_block);
  if (schedule.root != 0) text += fmt::format(" root {}", schedule.root);
  text += schedule.in_place ? " in_place\n" : "\n";
  text += scratch_text(schedule.scratch);
  Schedule derived = schedule;
  derive_dependencies(derived);
  const bool has_table = schedule.dependency_begin.size() == schedule.steps.size() + 1;
  for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
    text += step_text(schedule, schedule.steps[i]);
    if (has_table && !std::ranges::equal(schedule.dependencies(i), derived.dependencies(i)))
      text += after_text(schedule.dependencies(i));
    text += '\n';
  }
  return text;
}

Result<std::vector<Schedule>> parse_schedules(std::string_view text) { return Parser().parse(text); }

Result<std::vector<Schedule>> parse_schedules(std::string_view text, std::vector<std::size_t>& lines) {
  Parser parser;
  auto schedules = parser.parse(text);
  lines = std::move(parser.lines());
  return schedules;
}

}  // namespace tutti
