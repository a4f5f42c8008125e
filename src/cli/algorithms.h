// `tutti algorithms`: the table of algorithms, what they need and cost; one of them as steps or as a drawing.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_algorithms_command(CLI::App& app);

}  // namespace tutti
