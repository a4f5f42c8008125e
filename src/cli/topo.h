// `tutti topo`: shows a machine to a person or a program.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

// Adds the sub-command. It prints to stdout; bad input goes to stderr and ends with exit status 2 (as a CLI::RuntimeError,
// which CLI11's exit() turns into the status of the program).
void add_topo_command(CLI::App& app);

}  // namespace tutti
