// `tutti verify`: proves the algorithms of the library, or the schedules in a file, right.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_verify_command(CLI::App& app);

}  // namespace tutti
