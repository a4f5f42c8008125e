// `tutti explain`: why an algorithm would be chosen, for this machine or one that is only described.
#pragma once

namespace CLI {
class App;
}

namespace tutti {

void add_explain_command(CLI::App& app);

}  // namespace tutti
