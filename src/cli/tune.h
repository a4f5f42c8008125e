// `tutti tune`: measures which algorithms are fastest here, and keeps that for later jobs.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_tune_command(CLI::App& app);

}  // namespace tutti
