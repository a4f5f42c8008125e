// Damages inputs, the same way in every run.
#pragma once

#include <algorithm>
#include <random>
#include <string>

namespace tutti::test {

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  // `other` gives pieces to put in.
  std::string operator()(std::string text, const std::string& other) {
    const std::size_t times = 1 + pick(text.size() > 200 ? 4 : 2);
    for (std::size_t i = 0; i < times && !text.empty(); ++i) mutate(text, other);
    return text;
  }

 private:
  std::size_t pick(std::size_t count) { return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_); }

  void mutate(std::string& text, const std::string& other) {
    static constexpr const char* kNasty[] = {"-1",         "99999999999999999999",
                                             "4294967295", "nan",
                                             "1e308",      "\"",
                                             "<",          ">",
                                             "&#0;",       "0xf...f",
                                             "\xff\xfe",   "null",
                                             "[[[[[[[[",   "}",
                                             "\x1b[2J",    ":"};
    const std::size_t at = pick(text.size());
    switch (pick(7)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << pick(8)));
        break;
      case 1:
        text.resize(at);
        break;
      case 2:
        text.erase(at, pick(64));
        break;
      case 3:
        text.insert(at, text.substr(pick(text.size()), pick(256)));
        break;
      case 4:
        if (!other.empty()) text.insert(at, other.substr(pick(other.size()), pick(256)));
        break;
      case 5:
        text.replace(at, pick(8), kNasty[pick(std::size(kNasty))]);
        break;
      default:
        replace_number(text, at);
    }
  }

  // Numbers are where the bounds are.
  void replace_number(std::string& text, std::size_t from) {
    const std::size_t begin = text.find_first_of("0123456789", from);
    if (begin == std::string::npos) return;
    const std::size_t end = std::min(text.find_first_not_of("0123456789", begin), text.size());
    static constexpr const char* kNumbers[] = {"0",       "1",  "-1", "2147483647", "2147483648", "18446744073709551615",
                                               "1000000", "3.5"};
    text.replace(begin, end - begin, kNumbers[pick(std::size(kNumbers))]);
  }

  std::mt19937 random_;
};

}  // namespace tutti::test
