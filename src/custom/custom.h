// A job's own algorithms: schedules in files, and rows of plugin libraries. None is used that has not been proved.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "algorithms/registry.h"
#include "custom/texts.h"

namespace tutti {

class CustomAlgorithms {
 public:
  CustomAlgorithms();  // none

  // Proves the schedules, which holds for every job. Names are unique.
  static Result<CustomAlgorithms> load(std::span<const ScheduleText> texts, std::span<const std::string> plugins);
  // The same from files, which must be regular ones.
  static Result<CustomAlgorithms> load_files(std::span<const std::string> texts, std::span<const std::string> plugins);

  // The library's rows and these, for so many ranks in these levels (null: flat). Plugins' rows are proved for them, unless there
  // are more ranks than `prove_up_to`: then they refuse to be used.
  [[nodiscard]] Result<AlgorithmTable> table(Rank ranks, const std::vector<Grouping>* levels, Rank prove_up_to) const;

  // As the plugins give them: not proved, and without a cost where they declare none.
  [[nodiscard]] std::vector<const Algorithm*> plugin_rows() const;

  // Equal on all ranks that have the same.
  struct Item {
    std::string what;  // "all_reduce mine"
    std::uint64_t hash = 0;
    friend bool operator==(const Item&, const Item&) = default;
  };
  [[nodiscard]] std::vector<Item> items() const;  // in order of `what`

 private:
  struct Loaded;
  std::shared_ptr<const Loaded> loaded_;
};

}  // namespace tutti
