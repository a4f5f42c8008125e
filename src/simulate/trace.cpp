#include "simulate/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "core/config.h"

namespace tutti::simulate {
namespace {

// Of processes in the trace: what ranks do, and what is on its way from them.
constexpr int kCores = 0, kMessages = 1;

// All in pixels.
constexpr int kLeft = 70, kTop = 60, kRow = 28, kBar = 12, kWidth = 1200, kMargin = 20;

std::string title_of(const Span& s, Rank ranks) {
  return s.peer == kNoRank ? fmt::format("{} {}", name(s.kind), format_bytes(s.bytes))
                           : fmt::format("{} to {}", format_bytes(s.bytes), label_of(s.peer, ranks));
}

std::string_view color(StepKind kind) { return kind == StepKind::copy ? "#7a7a7a" : "#b84a00"; }

}  // namespace

std::string label_of(Rank rank, Rank ranks) {
  return rank < ranks ? fmt::format("rank {}", rank) : fmt::format("switch {}", rank - ranks);
}

std::string to_perfetto(std::span<const Span> spans, Rank ranks, Rank switches) {
  std::string text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  auto to = std::back_inserter(text);
  for (const auto& [process, what] : {std::pair(kCores, "cores"), std::pair(kMessages, "messages")}) {
    fmt::format_to(to, R"({{"ph":"M","pid":{},"name":"process_name","args":{{"name":"{}"}}}},{})", process, what, '\n');
    for (Rank r = 0; r < ranks + switches; ++r)
      fmt::format_to(to, R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}{}"}}}},{})", process, r,
                     process == kCores ? "" : "from ", label_of(r, ranks), '\n');
  }
  for (const Span& s : spans)
    fmt::format_to(to, R"({{"ph":"X","pid":{},"tid":{},"ts":{:.6f},"dur":{:.6f},"name":"{}","args":{{"bytes":{}}}}},{})",
                   s.peer == kNoRank ? kCores : kMessages, s.rank, microseconds(s.begin), microseconds(s.end - s.begin),
                   title_of(s, ranks), s.bytes, '\n');
  text += R"({"ph":"M","pid":0,"name":"process_sort_index","args":{"sort_index":0}})";
  return text + "\n]}\n";
}

std::string draw_timeline(std::span<const Span> spans, Rank ranks, Time end, const std::string& title, Rank switches) {
  const auto x = [&](Time t) { return kLeft + static_cast<double>(t) * kWidth / static_cast<double>(std::max<Time>(end, 1)); };
  const auto y = [](Rank r) { return kTop + r * kRow; };
  const int width = kLeft + kWidth + kMargin, height = y(ranks + switches) + kMargin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" "
      "font-size=\"11\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n<text x=\"{2}\" y=\"20\" "
      "font-size=\"13\">{3}</text>\n",
      width, height, kMargin, title);
  auto to = std::back_inserter(svg);
  constexpr int kTicks = 8;
  for (int tick = 0; tick <= kTicks; ++tick) {
    const Time at = end / kTicks * tick;
    fmt::format_to(to,
                   "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#dddddd\"/><text x=\"{0:.1f}\" y=\"{3}\" "
                   "text-anchor=\"middle\">{4:.4g} us</text>\n",
                   x(at), kTop - 12, y(ranks + switches), kTop - 18, microseconds(at));
  }
  for (Rank r = 0; r < ranks + switches; ++r)
    fmt::format_to(to,
                   "<text x=\"{0}\" y=\"{1}\" text-anchor=\"end\">{2}</text><line x1=\"{3}\" y1=\"{4}\" x2=\"{5}\" y2=\"{4}\" "
                   "stroke=\"#bbbbbb\"/>\n",
                   kLeft - 8, y(r) + kBar, label_of(r, ranks), kLeft, y(r) + kBar / 2, kLeft + kWidth);
  for (const Span& s : spans) {
    if (s.peer != kNoRank)
      fmt::format_to(
          to,
          "<line x1=\"{:.1f}\" y1=\"{}\" x2=\"{:.1f}\" y2=\"{}\" stroke=\"#0063a6\" stroke-opacity=\"0.6\"><title>{} from "
          "{}, {:.4g} to {:.4g} us</title></line>\n",
          x(s.begin), y(s.rank) + kBar / 2, x(s.end), y(s.peer) + kBar / 2, title_of(s, ranks), label_of(s.rank, ranks),
          microseconds(s.begin), microseconds(s.end));
    else
      fmt::format_to(to,
                     "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\"><title>{}, {:.4g} to {:.4g} "
                     "us</title></rect>\n",
                     x(s.begin), y(s.rank), std::max(0.5, x(s.end) - x(s.begin)), kBar, color(s.kind), title_of(s, ranks),
                     microseconds(s.begin), microseconds(s.end));
  }
  return svg + "</svg>\n";
}

}  // namespace tutti::simulate
