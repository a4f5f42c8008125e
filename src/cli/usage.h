// What the command lines of sub-commands have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace tutti {

// Ends the help of every sub-command.
inline std::string with_exit_statuses(const std::string& text) {
  return text + "\nExit status: 0 all is well; 1 something failed or was found wrong; 2 the command line or an input was bad.\n";
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
