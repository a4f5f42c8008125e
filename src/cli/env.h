// `tutti env`: the TUTTI_ variables.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_env_command(CLI::App& app);

}  // namespace tutti
