// `tutti simulate`: how long a call would take on a machine that is only described, step by step in virtual time.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_simulate_command(CLI::App& app);

}  // namespace tutti
