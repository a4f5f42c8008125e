// What the command lines of sub-commands have in common.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <string>
#include <type_traits>

namespace tutti {

// Ends the help of every sub-command.
inline std::string with_exit_statuses(const std::string& text) {
  return text + "\nExit status: 0 all is well; 1 something failed or was found wrong; 2 the command line or an input was bad.\n";
}

// For numbers: what the program's own conversion would take for 0, or could only call "not converted", is refused with what is
// expected.
template <class T>
CLI::Validator number(T least = std::numeric_limits<T>::lowest(), T most = std::numeric_limits<T>::max()) {
  return {[=](const std::string& text) -> std::string {
            T value{};
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool whole = end == text.data() + text.size() && !text.empty();
            if (whole && error == std::errc::result_out_of_range) return text + " is out of range";
            if (!whole || error != std::errc{} || value != value)
              return fmt::format("\"{}\" is not a {}number", text, std::is_integral_v<T> ? "whole " : "");
            return value < least || value > most ? fmt::format("{} not in range {} to {}", text, least, most) : "";
          },
          ""};
}

// For words of which a script may have forgotten the variable.
inline CLI::Validator not_empty() {
  return {[](const std::string& text) { return std::string(text.empty() ? "must not be empty" : ""); }, ""};
}

// For names of files. Nothing, or the next option, comes of a variable that a script forgot to set.
inline CLI::Validator file_name() {
  return {[](const std::string& text) -> std::string {
            if (text.empty()) return "must not be empty";
            return text.starts_with("--") ? "is followed by " + text + " instead of a name" : "";
          },
          ""};
}

}  // namespace tutti
