// `tutti verify`: proves the algorithms of the library, or the schedules in a file, right.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

// Adds the sub-command. A table goes to stdout, progress and reasons to stderr. It ends with exit status 1 when something was
// refused and 2 for bad input (as a CLI::RuntimeError, which CLI11's exit() turns into the status of the program).
void add_verify_command(CLI::App& app);

}  // namespace tutti
