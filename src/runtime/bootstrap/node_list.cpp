#include "bootstrap/node_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tutti {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Result<std::vector<std::string>> parse() {
    std::vector<std::string> nodes;
    for (;;) {
      auto expanded = entry();
      if (!expanded) return std::move(expanded.error());
      if (nodes.size() + expanded->size() > kMaxNodes) return too_many();
      nodes.insert(nodes.end(), expanded->begin(), expanded->end());
      if (rest_.empty()) return nodes;
      rest_.remove_prefix(1);  // the comma
    }
  }

 private:
  // Up to the next comma outside brackets.
  Result<std::vector<std::string>> entry() {
    std::vector<std::string> names{""};
    std::size_t length = 0;
    while (!rest_.empty() && rest_.front() != ',') {
      ++length;
      std::vector<std::string> endings;
      if (rest_.front() == '[') {
        auto choices = brackets();
        if (!choices) return choices;
        endings = std::move(*choices);
      } else {
        const std::string_view plain = rest_.substr(0, rest_.find_first_of("[],"));
        if (plain.empty()) return bad("a bracket closes that was not opened");
        endings.emplace_back(plain);
        rest_.remove_prefix(plain.size());
      }
      if (names.size() * endings.size() > kMaxNodes) return too_many();
      names = product(names, endings);
    }
    if (length == 0) return bad("a host name is missing");
    return names;
  }

  Result<std::vector<std::string>> brackets() {
    const auto close = rest_.find(']');
    if (close == std::string_view::npos) return bad("a bracket is not closed");
    std::string_view inside = rest_.substr(1, close - 1);
    rest_.remove_prefix(close + 1);
    std::vector<std::string> numbers;
    for (;;) {
      const auto comma = inside.find(',');
      if (auto s = range(inside.substr(0, comma), numbers); !s) return std::move(s.error());
      if (comma == std::string_view::npos) return numbers;
      inside.remove_prefix(comma + 1);
    }
  }

  // "7" or "01-03"; the width of the first number is kept.
  Status range(std::string_view text, std::vector<std::string>& out) {
    const auto dash = text.find('-');
    const std::string_view low_text = text.substr(0, dash);
    const std::string_view high_text = dash == std::string_view::npos ? low_text : text.substr(dash + 1);
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    if (!number(low_text, low) || !number(high_text, high) || high < low) return bad(fmt::format("\"{}\" is no range", text));
    if (high - low >= kMaxNodes || out.size() + (high - low) >= kMaxNodes) return too_many();
    for (std::uint64_t i = low; i <= high; ++i) out.push_back(fmt::format("{:0{}}", i, low_text.size()));
    return {};
  }

  static bool number(std::string_view text, std::uint64_t& value) {
    constexpr std::size_t kMaxDigits = 18;
    if (text.size() > kMaxDigits) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
  }

  static std::vector<std::string> product(const std::vector<std::string>& heads, const std::vector<std::string>& tails) {
    std::vector<std::string> all;
    all.reserve(heads.size() * tails.size());
    for (const auto& head : heads)
      for (const auto& tail : tails) all.push_back(head + tail);
    return all;
  }

  Error bad(std::string_view why) const {
    return {Code::environment, fmt::format("\"{}\" is not a list of hosts such as n[01-03,7],m2: {}", text_, why)};
  }
  Error too_many() const { return {Code::environment, fmt::format("\"{}\" means more than {} hosts", text_, kMaxNodes)}; }

  std::string_view text_;
  std::string_view rest_;
};

}  // namespace

Result<std::vector<std::string>> expand_node_list(std::string_view text) { return Parser(text).parse(); }

}  // namespace tutti
