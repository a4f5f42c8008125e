// One rank of the job: does the same random program as all others, and compares what it finds with the model.
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model.h"
#include "piece.h"
#include "random.h"
#include "tutti/communicator.h"

namespace tutti::stress {

// Where a rank is, for whoever sees it end.
struct Progress {
  std::atomic<std::uint64_t> step{0};
  std::array<char, 240> story{};
};

class Player {
 public:
  Player(std::uint64_t seed, Rank me, Communicator world, Progress& progress);
  ~Player();
  void play(std::uint64_t steps);

 private:
  struct Recurring {
    Plan plan;
    std::uint64_t input_made, output_made;
  };
  struct Split {
    Communicator communicator;
    Groups groups;
    const std::vector<Rank>* own = nullptr;  // of the groups
  };
  using Plans = std::vector<Plan>;

  // --- the program's steps
  void step();
  void make(std::size_t words);
  void drop();
  void resize();
  void replace();
  void rewrite();
  void empty();
  void calls();
  void check_all();
  void fork_a_child(const Plans& under_way);
  void fork_while_one_writes();
  void start_another_program();

  // --- calls
  void split(int color_modulus, bool reversed);
  [[nodiscard]] std::optional<Plan> draw_plan();
  [[nodiscard]] std::optional<Plan> draw_new_plan();
  [[nodiscard]] bool still_there(const Recurring& recurring) const;
  [[nodiscard]] Part cut(Part part);
  [[nodiscard]] Call call_of(const Plan& plan);
  void run_alone(const Plan& plan);
  void run_beside(const Plan& started, const std::optional<Plan>& other);
  void run_together(const Plans& plans);
  // Threads that read what is sent and write what no call has, and memory that may only be read, while `run` runs.
  template <class Run>
  void while_disturbed(const Plans& plans, Run&& run);
  [[nodiscard]] std::jthread reader(const Plan& plan);
  [[nodiscard]] std::jthread writer(std::size_t buffer);
  [[nodiscard]] std::optional<std::size_t> draw_unused(const Plans& plans);
  void finish(const Plans& plans);  // they are done: the results

  // --- buffers and their model
  [[nodiscard]] Words words(std::size_t buffer) const { return pieces_[buffer]->words(); }
  [[nodiscard]] const std::vector<std::uint32_t>& expected(std::size_t buffer) const { return slots_[buffer].of_rank[index_]; }
  [[nodiscard]] std::size_t ranks() const { return splits_[0].own->size(); }
  [[nodiscard]] std::vector<std::size_t> live() const;
  [[nodiscard]] std::size_t draw_size();
  [[nodiscard]] std::size_t draw_buffer();
  [[nodiscard]] std::size_t draw_buffer_to_end();
  void fill(std::size_t buffer, std::size_t first);
  [[nodiscard]] std::optional<std::string> difference(std::size_t buffer) const;
  void check(std::size_t buffer);

  void reap(bool all);
  void need(const Status& status) {
    if (!status) fail(status.error().to_string());
  }
  template <class... Args>
  void tell(fmt::format_string<Args...> format, Args&&... args) {
    story_ = fmt::format(format, std::forward<Args>(args)...);
    progress_.story[story_.copy(progress_.story.data(), progress_.story.size() - 1)] = '\0';
  }
  [[noreturn]] void fail(const std::string& what) const;

  std::uint64_t seed_, step_ = 0;
  std::size_t index_;  // this rank
  Random shared_, own_;
  Progress& progress_;
  std::string story_;
  std::vector<Split> splits_;
  PieceMaker maker_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<Piece>> pieces_;  // this rank's, by the slots
  std::vector<Recurring> recurring_;
  std::optional<std::size_t> written_;  // by a thread, just now
  std::vector<pid_t> children_;
};

}  // namespace tutti::stress
