// `tutti schedule`: prints schedules as text, to be read, changed and verified.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_schedule_command(CLI::App& app);

}  // namespace tutti
