#include "cli/run_mpi.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/report.h"
#include "cli/usage.h"
#include "core/config.h"

namespace tutti {
namespace {

struct Options {
  bool off = false, check = false, verbose = false;
  std::string report, algorithm;
  std::vector<std::string> command;
};

// Beside the program in the build, in the sister folder of bin once installed.
std::string find_library() {
  constexpr const char* kName = "libtutti_mpi.so";
  std::error_code error;
  const auto prefix = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  for (const char* folder : {"lib", TUTTI_LIBRARY_FOLDER})
    if (const auto file = prefix / folder / kName; std::filesystem::exists(file, error)) return file.string();
  leave(
      fmt::format("there is no {} in {}: build or install it with this program", kName, (prefix / TUTTI_LIBRARY_FOLDER).string()),
      kExitFailed);
}

std::string output_of(const std::string& command) {
  std::string text;
  std::array<char, 512> part{};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  while (pipe && std::fgets(part.data(), part.size(), pipe.get()) != nullptr) text += part.data();
  return text;
}

using Settings = std::vector<std::pair<std::string, std::string>>;

// How a launcher is told to set variables in the ranks alone, by what it says it is: names such as mpirun belong to many.
std::vector<std::string> flags_of(const std::string& launcher, const Settings& settings) {
  std::string quoted = launcher;
  for (std::size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 4) quoted.replace(at, 1, "'\\''");
  const std::string version = output_of(fmt::format("'{}' --version 2>&1 </dev/null", quoted));
  const auto is = [&](const char* name) { return version.find(name) != std::string::npos; };
  std::vector<std::string> flags;
  if (is("Open MPI") || is("OpenRTE") || is("PRRTE")) {
    for (const auto& [name, value] : settings) flags.insert(flags.end(), {"-x", fmt::format("{}={}", name, value)});
  } else if (is("HYDRA") || is("Intel(R) MPI")) {
    for (const auto& [name, value] : settings) flags.insert(flags.end(), {"-genv", name, value});
  } else if (is("slurm")) {
    std::string all = "--export=ALL";
    for (const auto& [name, value] : settings) all += fmt::format(",{}={}", name, value);
    flags.push_back(std::move(all));
  } else {  // ranks inherit
    for (const auto& [name, value] : settings) setenv(name.c_str(), value.c_str(), 1);
  }
  return flags;
}

Settings settings_of(const Options& options) {
  if (options.off && options.report.empty()) return {};
  std::string preload = find_library();
  if (const auto others = environment("LD_PRELOAD"); others && !others->empty()) preload += ":" + *others;
  Settings settings{{"LD_PRELOAD", std::move(preload)}};
  if (!options.report.empty()) settings.emplace_back("TUTTI_MPI_REPORT", options.report);
  if (options.off) settings.emplace_back("TUTTI_MPI", "0");
  if (options.check) settings.emplace_back("TUTTI_MPI_CHECK", "1");
  if (!options.algorithm.empty()) settings.emplace_back("TUTTI_ALGORITHM", options.algorithm);
  return settings;
}

void run(const Options& options) {
  std::vector<std::string> words = options.command;
  if (words.empty()) leave("run-mpi needs a command, such as mpirun -np 4 ./app", kExitUsage);
  if (words.front().starts_with('-')) leave(fmt::format("run-mpi has no option {}", words.front()), kExitUsage);
  const auto flags = flags_of(words.front(), settings_of(options));
  words.insert(words.begin() + 1, flags.begin(), flags.end());
  if (options.verbose) fmt::print(stderr, "tutti run-mpi: {}\n", fmt::join(words, " "));
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  leave(system_error(errno, fmt::format("cannot start {}", words.front())));
}

constexpr const char* kExamples = R"(Usage: tutti run-mpi [OPTIONS] [--] LAUNCHER [ITS OPTIONS] PROGRAM [ARGUMENTS]
Examples:
  tutti run-mpi mpirun -np 4 ./app                 the same program, its collectives served by tutti
  tutti run-mpi --report mpirun -np 4 ./app        which collectives it calls, and what they cost
  tutti run-mpi --check mpiexec -n 4 ./app         every result compared with the MPI library's own
  tutti run-mpi --off --verbose srun -n 4 ./app    without tutti, for comparison
  tutti run-mpi --off --report mpirun -np 4 ./app  what the collectives cost without tutti
Open MPI, MPICH, Intel MPI and programs of MPI's standard ABI, as they are. Exit status: the launcher's.
)";

}  // namespace

void drop_separator(std::vector<std::string>& words) {
  if (words.empty() || words.front() != "run-mpi") return;
  auto at = words.begin() + 1;
  while (at != words.end() && at->starts_with('-') && *at != "--")
    if (*at++ == "--algorithm" && at != words.end()) ++at;
  if (at != words.end() && *at == "--") words.erase(at);
}

void add_run_mpi_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run-mpi", "Runs an unchanged MPI program with its collectives served by tutti");
  command->add_flag("--off", options->off, "Without tutti; with --report it only counts and times the calls");
  command->add_flag("--report{1}", options->report,
                    "At the end tell which collectives were called, on stderr or in a file (--report=FILE)");
  command->add_flag("--check", options->check, "Compare every result with the MPI library's own");
  command->add_option("--algorithm", options->algorithm, "As TUTTI_ALGORITHM: name, or collective:name, separated by commas");
  command->add_flag("--verbose", options->verbose, "Print the command that is run");
  command->prefix_command();
  command->footer(with_exit_statuses(kExamples));
  command->callback([options, command] {
    options->command = command->remaining();
    run(*options);
  });
}

}  // namespace tutti
