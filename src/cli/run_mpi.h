// `tutti run-mpi`: an unchanged MPI program, its collectives served by tutti.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_run_mpi_command(CLI::App& app);

}  // namespace tutti
