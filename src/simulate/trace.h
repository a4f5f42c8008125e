// What happened in a simulation, for people: as a trace that ui.perfetto.dev opens (the JSON of Chrome's trace events), and as a
// drawing of a small run.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "simulate/simulate.h"

namespace tutti::simulate {

// So much would be too slow to look at.
inline constexpr std::size_t kMostTraced = 2'000'000;
inline constexpr Rank kMostDrawnRanks = 64;
inline constexpr std::size_t kMostDrawnSpans = 20'000;

// "rank 3"; "switch 0" of those that follow the ranks.
[[nodiscard]] std::string label_of(Rank rank, Rank ranks);
// Ranks are threads, of what their cores do and of the messages that they send, and so are switches; times are microseconds.
[[nodiscard]] std::string to_perfetto(std::span<const Span> spans, Rank ranks, Rank switches = 0);
// A row for each rank, time to the right: what it combines and copies, and an arrow for each message. SVG.
[[nodiscard]] std::string draw_timeline(std::span<const Span> spans, Rank ranks, Time end, const std::string& title,
                                        Rank switches = 0);

}  // namespace tutti::simulate
