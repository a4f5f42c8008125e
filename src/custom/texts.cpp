#include "custom/texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "algorithms/registry.h"
#include "core/hash.h"
#include "custom/measure.h"
#include "custom/names.h"
#include "schedule/passes.h"
#include "schedule/text.h"
#include "verify/verify.h"

namespace tutti {
namespace {

// ---- reading

// Schedules of one shape as they were given.
struct Given {
  std::vector<Schedule> out_of_place, in_place;
  std::size_t line = 0;
};
using Name = std::pair<Collective, std::string>;
using Shapes = std::map<std::pair<Rank, Rank>, Given>;  // by ranks and root

template <class... Arguments>
Error bad(const ScheduleText& text, std::size_t line, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return {Code::invalid_argument,
          fmt::format("'{}' line {}: {}", text.file, line, fmt::format(format, std::forward<Arguments>(arguments)...))};
}

Status check_name(const ScheduleText& text, const Schedule& s, std::size_t line) {
  if (s.collective == Collective::send_recv) return bad(text, line, "send_recv is between two ranks: it has no algorithms");
  if (!is_algorithm_name(s.algorithm)) return bad(text, line, "\"{}\" is no name; {}", s.algorithm, kNamesAreMadeOf);
  if (find_algorithm(s.collective, s.algorithm) != nullptr)
    return bad(text, line,
               "{} {} is an algorithm of the library: give yours another name in all its lines that begin with 'schedule'",
               name(s.collective), s.algorithm);
  return {};
}

Result<std::map<Name, Shapes>> read(const ScheduleText& text) {
  std::vector<std::size_t> lines;
  auto schedules = parse_schedules(text.text, lines);
  if (!schedules) return Error(Code::invalid_argument, fmt::format("'{}' {}", text.file, schedules.error().to_string()));
  std::map<Name, Shapes> found;
  std::map<std::tuple<Name, Rank, Rank, bool, Rank>, std::size_t> line_of;
  for (std::size_t i = 0; i < schedules->size(); ++i) {
    Schedule& s = (*schedules)[i];
    if (auto status = check_name(text, s, lines[i]); !status) return std::move(status.error());
    if (!has_root(s.collective)) s.root = 0;
    const Name key(s.collective, s.algorithm);
    const auto [before, fresh] = line_of.emplace(std::tuple(key, s.ranks, s.root, s.in_place, s.rank), lines[i]);
    if (!fresh)
      return bad(text, lines[i], "rank {} of {} {} has a schedule in line {} already: give one of them another name", s.rank,
                 name(s.collective), s.algorithm, before->second);
    Given& given = found[key][{s.ranks, s.root}];
    if (given.line == 0) given.line = lines[i];
    (s.in_place ? given.in_place : given.out_of_place).push_back(std::move(s));
  }
  return found;
}

// ---- proving

// The same in place: the input is saved first, for the schedule may write its output before it has read all of its input.
Schedule in_place_form(const Schedule& s) {
  const Shape shape{.ranks = s.ranks, .root = s.root, .in_place = true};
  const std::uint32_t inputs = input_chunks(s.collective, s.ranks, s.chunks_per_block);
  Builder head(s.collective, s.algorithm, s.rank, shape, s.chunks_per_block);
  Slice saved = head.input(0, inputs);
  if (saved.buffer != Buffer::scratch) {  // the builder saves all_to_all's by itself
    saved = head.scratch_like(head.input(0, inputs));
    head.copy(head.input(0, inputs), saved);
  }
  const Slice output = head.output(0);  // where it is a part of the input, passes see hazards by that name
  Schedule result = std::move(head).finish();
  const std::uint32_t own_scratch = result.scratch.size();
  s.scratch.for_each_range([&](std::uint32_t first, std::uint32_t count) { result.scratch.append(first, count); });
  const auto moved = [&](const Slice& slice) {
    if (slice.buffer == Buffer::input) return Slice{Buffer::scratch, saved.chunk + slice.chunk, slice.count};
    if (slice.buffer == Buffer::output) return Slice{output.buffer, output.chunk + slice.chunk, slice.count};
    return Slice{Buffer::scratch, own_scratch + slice.chunk, slice.count};
  };
  for (std::size_t i = 0; i < s.steps.size(); ++i) {
    Step step = s.steps[i];
    step.from = moved(step.from);
    step.to = moved(step.to);
    result.steps.push_back(step);
    result.dependency_list.push_back(0);  // the copy
    for (const std::uint32_t on : s.dependencies(i)) result.dependency_list.push_back(on + 1);
    result.dependency_begin.push_back(static_cast<std::uint32_t>(result.dependency_list.size()));
  }
  for (const Slice& operand : s.operands) result.operands.push_back(moved(operand));
  return result;
}

// Where a rank has one buffer only, there is nothing to be in place.
bool has_both_buffers(const Schedule& s) { return !has_root(s.collective) || s.rank == s.root; }

std::vector<Schedule> in_place_forms(const std::vector<Schedule>& ranks) {
  std::vector<Schedule> forms;
  for (const Schedule& s : ranks) {
    forms.push_back(has_both_buffers(s) && !s.steps.empty() ? in_place_form(s) : s);
    forms.back().in_place = true;
  }
  return forms;
}

// What of an operator and of blocks the schedules can do without, from nothing to all.
Result<VerifyOptions> least_needs(const std::vector<Schedule>& ranks) {
  const bool any_order = !reduces(ranks.front().collective);
  std::optional<Error> why;
  for (const bool ordered : {true, false})
    for (const bool equal_blocks : {false, true}) {
      if (ordered && any_order) continue;
      const VerifyOptions options{.ordered = ordered, .equal_blocks = equal_blocks};
      auto proof = verify(ranks, options);
      if (proof) return options;
      why = std::move(proof.error());
      if (why->code() == Code::unsupported) return std::move(*why);
    }
  return std::move(*why);
}

// As they are, and as the passes leave them.
Status prove(std::vector<Schedule> ranks, const VerifyOptions& options, std::string_view where) {
  auto proof = verify(ranks, options);
  if (!proof) return proof.because(std::string(where));
  for (const bool arrivals : {false, true}) {
    std::vector<Schedule> fused;
    for (const Schedule& s : ranks) fused.push_back(fuse(s, {.arrivals = arrivals}));
    if (auto again = verify(fused, options); !again) return again.because(fmt::format("{}, its steps fused", where));
  }
  return {};
}

std::vector<Schedule> every_second_in_place(const TextShape& shape, std::size_t first) {
  std::vector<Schedule> ranks = shape.out_of_place;
  for (std::size_t r = first; r < ranks.size(); r += 2) ranks[r] = shape.in_place[r];
  return ranks;
}

// Ranks may differ in whether they are in place, so both forms are there and go together.
Result<TextShape> prove_shape(Given given) {
  std::ranges::stable_sort(given.out_of_place, {}, &Schedule::rank);
  std::ranges::stable_sort(given.in_place, {}, &Schedule::rank);
  if (given.out_of_place.empty())
    return Error(Code::invalid_argument,
                 "is given in place only: add its schedules out of place (in-place calls can be served by either)");
  auto needs = least_needs(given.out_of_place);
  if (!needs) return std::move(needs.error());
  const Schedule& first = given.out_of_place.front();
  TextShape shape{.ranks = first.ranks,
                  .root = first.root,
                  .line = given.line,
                  .out_of_place = std::move(given.out_of_place),
                  .in_place = std::move(given.in_place),
                  .commutative = reduces(first.collective) && !needs->ordered,
                  .equal_blocks = needs->equal_blocks};
  if (shape.in_place.empty()) shape.in_place = in_place_forms(shape.out_of_place);
  if (auto s = prove(shape.out_of_place, *needs, "out of place"); !s) return std::move(s.error());
  if (auto s = prove(shape.in_place, *needs, "in place"); !s) return std::move(s.error());
  for (const std::size_t from : {std::size_t{0}, std::size_t{1}})
    if (auto s = prove(every_second_in_place(shape, from), *needs, "every second rank in place"); !s) return std::move(s.error());
  return shape;
}

std::uint64_t hash_of(const TextAlgorithm& a) {
  Hasher hasher;
  hasher.value(a.collective).text(a.name);
  for (const TextShape& shape : a.shapes)
    for (const auto* form : {&shape.out_of_place, &shape.in_place})
      for (const Schedule& s : *form) hasher.text(print(s));
  return hasher.result();
}

// ---- rows

struct TextRow {
  std::shared_ptr<const TextAlgorithm> text;
  std::string summary;
  std::map<Rank, Cost> cost_by_root;
  std::map<Rank, ReductionOrder> order_by_root;
  Algorithm row = {};
};

const TextShape* find(const TextAlgorithm& text, const Shape& shape) {
  const Rank root = has_root(text.collective) ? shape.root : 0;
  const auto found =
      std::ranges::find_if(text.shapes, [&](const TextShape& s) { return s.ranks == shape.ranks && s.root == root; });
  return found == text.shapes.end() ? nullptr : &*found;
}

Schedule build(const void* state, Rank me, const Shape& shape, const Chunking& /*has none*/) {
  const TextShape& found = *find(*static_cast<const TextRow*>(state)->text, shape);
  return (shape.in_place ? found.in_place : found.out_of_place)[static_cast<std::size_t>(me)];
}

Cost cost(const void* state, const Shape& shape, const Chunking& /*has none*/) {
  const auto& row = *static_cast<const TextRow*>(state);
  return row.cost_by_root.at(has_root(row.row.collective) ? shape.root : 0);
}

bool canonical(const void* state, const Shape& shape, const Chunking& /*has none*/) {
  const auto& row = *static_cast<const TextRow*>(state);
  return row.order_by_root.at(has_root(row.row.collective) ? shape.root : 0).canonical;
}

// How contributions meet once the schedules are fused, as they are run; they have been proved right.
ReductionOrder order_of(const std::vector<Schedule>& ranks) {
  std::vector<Schedule> fused;
  for (const Schedule& s : ranks) fused.push_back(fuse(s));
  const auto proof = verify(fused);
  return proof ? proof->order : ReductionOrder{.canonical = false, .at_once = false};
}

std::string refuses(const void* state, const Shape& shape) {
  const TextAlgorithm& text = *static_cast<const TextRow*>(state)->text;
  if (find(text, shape) != nullptr) return "";
  std::vector<Rank> ranks, roots;
  for (const TextShape& s : text.shapes) {
    ranks.push_back(s.ranks);
    if (s.ranks == shape.ranks) roots.push_back(s.root);
  }
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  if (roots.empty()) return fmt::format("its schedules are for {} ranks; there are {}", fmt::join(ranks, ", "), shape.ranks);
  return fmt::format("its schedules are for root {}; the root is {}", fmt::join(roots, ", "), shape.root);
}

}  // namespace

Result<std::vector<TextAlgorithm>> prove_texts(std::span<const ScheduleText> texts) {
  std::vector<TextAlgorithm> all;
  for (const ScheduleText& text : texts) {
    auto found = read(text);
    if (!found) return std::move(found.error());
    for (auto& [key, shapes] : *found) {
      const std::size_t line = shapes.begin()->second.line;
      const auto other = std::ranges::find_if(all, [&](const TextAlgorithm& a) { return Name(a.collective, a.name) == key; });
      if (other != all.end())
        return bad(text, line, "{} {} is in '{}' already: give one of them another name", name(key.first), key.second,
                   other->file);
      TextAlgorithm algorithm{.collective = key.first, .name = key.second, .file = text.file, .shapes = {}};
      for (auto& [shape, given] : shapes) {
        const std::size_t begins = given.line;
        auto proved = prove_shape(std::move(given));
        if (!proved)
          return std::move(proved.error())
              .because(
                  fmt::format("'{}' line {}: {} {} of {} ranks", text.file, begins, name(key.first), key.second, shape.first));
        algorithm.shapes.push_back(std::move(*proved));
      }
      algorithm.hash = hash_of(algorithm);
      all.push_back(std::move(algorithm));
    }
  }
  return all;
}

Result<std::shared_ptr<const Algorithm>> text_row(std::shared_ptr<const TextAlgorithm> text, Rank ranks,
                                                  const std::vector<Grouping>* levels) {
  auto state = std::make_shared<TextRow>();
  state->text = std::move(text);
  const TextAlgorithm& t = *state->text;
  state->summary = fmt::format("schedules in {}", t.file);
  Requirements needs;
  for (const TextShape& shape : t.shapes) {
    if (shape.ranks != ranks) continue;
    needs.commutative |= shape.commutative;
    needs.equal_blocks |= shape.equal_blocks;
    auto measured = measure_cost(shape.out_of_place, levels);
    if (!measured) return std::move(measured.error());
    state->cost_by_root[shape.root] = std::move(*measured);
    state->order_by_root[shape.root] = order_of(shape.out_of_place);
  }
  const bool at_once =
      std::ranges::all_of(state->order_by_root, [](const auto& of) { return of.second.at_once && of.second.canonical; });
  const void* at = state.get();
  state->row = {.collective = t.collective,
                .name = t.name,
                .summary = state->summary,
                .source = t.file,
                .needs = needs,
                .pipelines = false,
                .meets_at_once = reduces(t.collective) && at_once,
                .build = {at, build},
                .cost = {at, cost},
                .canonical = {at, canonical},
                .refuses = {at, refuses},
                .origin = t.file};
  return std::shared_ptr<const Algorithm>(state, &state->row);
}

}  // namespace tutti
