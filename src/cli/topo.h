// `tutti topo`: shows a machine to a person or a program.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_topo_command(CLI::App& app);

}  // namespace tutti
