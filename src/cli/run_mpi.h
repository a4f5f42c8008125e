// `tutti run-mpi`: an unchanged MPI program, its collectives served by tutti.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace tutti {

// Takes away the "--" between its options and the command: CLI11 would give what follows to the main program.
void drop_separator(std::vector<std::string>& words);

void add_run_mpi_command(CLI::App& app);

}  // namespace tutti
