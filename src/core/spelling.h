// What a misspelt word may have been meant for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace tutti {

// Letters to be put in, left out or replaced.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> line(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) line[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = line[0];
    line[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = line[j];
      line[j] = std::min({above + 1, line[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return line[b.size()];
}

// Two letters of a long word, one of a short one: other words of three letters are no misspellings.
[[nodiscard]] inline bool is_near(std::string_view word, std::string_view known) {
  return edit_distance(word, known) <= std::clamp<std::size_t>(known.size() / 3, 1, 2);
}

// The nearest of the known words; empty: none is near.
template <class Words>
[[nodiscard]] std::string_view nearest(std::string_view word, const Words& known) {
  std::string_view best;
  for (const std::string_view one : known)
    if (is_near(word, one) && (best.empty() || edit_distance(word, one) < edit_distance(word, best))) best = one;
  return best;
}

}  // namespace tutti
