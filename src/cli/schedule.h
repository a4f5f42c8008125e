// `tutti schedule`: prints schedules as text, to be read, changed and verified, or draws them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "algorithms/registry.h"

namespace CLI {
class App;
}

namespace tutti {

void add_schedule_command(CLI::App& app);

// How schedules are shown, as on the command line.
struct ScheduleView {
  std::optional<Rank> rank = {};  // none: all
  bool fused = false;
  std::string name = {};  // to print instead of the algorithm's
  bool svg = false;
  std::string svg_file = {};  // empty: the standard output
  std::string file = {};      // schedules to draw instead of an algorithm's
};

// --svg and --file; with --file none of the options (and positionals) `without` may be given. `view` must outlive the parsing.
void add_drawing_options(CLI::App& command, ScheduleView& view, const std::vector<std::string>& without);
// These leave where what is asked for cannot be.
void check_view(const ScheduleView& view, Rank ranks);
void check_pieces(const Algorithm& algorithm, std::uint32_t pieces);
void check_radix(const Algorithm& algorithm, std::uint32_t radix);
void show_file(const ScheduleView& view);
void show_schedules(const Algorithm& algorithm, const Shape& shape, const Chunking& chunking, const ScheduleView& view);

// The sets of schedules in a file, each of all ranks and in their order; leaves where they cannot be read or told apart.
[[nodiscard]] std::vector<std::vector<Schedule>> read_schedules(const std::string& path);

}  // namespace tutti
