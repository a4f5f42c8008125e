// `tutti perf`: runs collectives under a launcher, times them and checks every result.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_perf_command(CLI::App& app);

}  // namespace tutti
