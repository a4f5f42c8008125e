// `tutti doctor`: what slows this host or this job down, and how to mend it.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_doctor_command(CLI::App& app);

}  // namespace tutti
