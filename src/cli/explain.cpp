#include "cli/explain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/question.h"
#include "cli/report.h"
#include "cli/sizes.h"
#include "cli/started_by.h"
#include "cli/usage.h"
#include "tutti/communicator.h"

namespace tutti {
namespace {

struct ExplainOptions {
  Question question;
  std::string device = "host";
  bool json = false;
};

std::string offline(ExplainOptions& o, const DeviceChoice& device) {
  if (device.cuda) {
    const DeviceAnswer a = ask_of_devices(o.question, device);
    return o.json ? to_json(a.explanation) : render(a.explanation);
  }
  const Answer a = ask(o.question);
  return o.json ? to_json(a.selection, a.request, a.machine) : render(a.selection, a.request, a.machine);
}

// On the machine that a launcher has started this on, as its ranks have measured it; of devices as they have met.
std::string in_this_job(const Communicator& comm, const ExplainOptions& o, const PerfDevice* device) {
  AskedCall asked = call_of(o.question, comm.size());
  if (device != nullptr) asked.call.input = device->memory();
  // Without a device a sum of f32 stands for what is asked about, as it does of a described machine.
  if (device == nullptr && reduces(asked.call.collective) && !o.question.ordered) in_f32(asked);
  asked.call.order = order_of(o.question.contract);
  asked.call.accumulate = accumulate_of(o.question.contract);
  auto text = comm.explain(asked.call, o.json);
  if (!text) leave(text.error());
  return std::move(*text);
}

// All ranks call it.
std::unique_ptr<PerfDevice> meet_on(Communicator& comm, const DeviceChoice& choice) {
  auto device = PerfDevice::open(comm, choice);
  leave_if_any(comm, device ? (*device)->reserve(1) : Status(device.error().clone()));
  if (auto s = comm.meet_devices(); !s) leave(s.error());
  return std::move(*device);
}

void run(ExplainOptions& o) {
  const bool described = !o.question.topology.empty() || o.question.ranks > 0;
  const auto choice = parse_device(o.device);
  if (!choice) leave(choice.error());
  std::string text;
  if (!described && started_by() != LauncherKind::none) {
    auto comm = Communicator::from_environment({.schedules = o.question.own.schedules, .plugins = o.question.own.plugins});
    if (!comm) leave(comm.error());
    const auto device = choice->cuda ? meet_on(*comm, *choice) : nullptr;
    if (comm->rank() != 0) return;
    text = in_this_job(*comm, o, device.get());
  } else {
    text = offline(o, *choice);
  }
  fmt::print("{}{}", text, text.ends_with('\n') ? "" : "\n");
}

}  // namespace

void add_explain_command(CLI::App& app) {
  auto o = std::make_shared<ExplainOptions>();
  auto* command = app.add_subcommand("explain",
                                     "Prints which algorithm a call would use and why: candidates, predicted times, refusals. "
                                     "Started by mpirun, srun, ... it explains what that job has measured");
  add_question(*command, o->question);
  command->add_option("--bytes", o->question.bytes, "Size of the larger side, as in tutti perf")->capture_default_str();
  command->add_flag("--ordered", o->question.ordered, "The operator is not commutative");
  command->add_flag("--uneven", o->question.uneven, "Blocks of different sizes (a v-variant)");
  command
      ->add_option("--device", o->device,
                   "Where the buffers are: host, or cuda: which way GPUs would do the call, and what lies between them. Of a "
                   "described machine ranks take the GPUs in turns (cuda:N: all take GPU N)")
      ->capture_default_str()
      ->check(not_empty());
  command->add_flag("--json", o->json, "For programs");
  command->footer(
      with_exit_statuses("Examples: tutti explain all_reduce --bytes 1M --ranks 64 --topology \"node:8 core:8\"\n"
                         "          tutti explain all_reduce --bytes 64K --device cuda --topology dgx-h100:1\n"
                         "          mpirun -np 4 tutti explain all_reduce --bytes 1M\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
