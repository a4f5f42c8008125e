#include "cli/explain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

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
  bool json = false;
};

std::string offline(ExplainOptions& o) {
  const Answer a = ask(o.question);
  return o.json ? to_json(a.selection, a.request, a.machine) : render(a.selection, a.request, a.machine);
}

// On the machine that a launcher has started this on, as its ranks have measured it.
std::string in_this_job(const Communicator& comm, const ExplainOptions& o) {
  const Question& q = o.question;
  const Collective collective = collective_of(q.collective);
  const std::uint64_t bytes = bytes_of(q), ranks = static_cast<std::uint64_t>(comm.size());
  Call call{.collective = collective,
            .count = has_blocks(collective) ? bytes / ranks : bytes,
            .root = q.root,
            .algorithm = q.algorithm,
            .algorithm_filter = q.filter};
  const std::vector<std::uint64_t> counts(ranks, call.count);
  if (q.uneven && input_chunks(collective, 2, 1) == 2) call.input_counts = counts;
  if (q.uneven && output_chunks(collective, 2, 1) == 2) call.output_counts = counts;
  if (q.ordered && reduces(collective)) {
    call.op.kind = ReduceKind::user;
    call.op.commutative = false;
    call.op.user.apply = [](const void*, void*, std::size_t, DataType, void*) noexcept {};
  }
  auto text = comm.explain(call, o.json);
  if (!text) leave(text.error());
  return std::move(*text);
}

void run(ExplainOptions& o) {
  const bool described = !o.question.topology.empty() || o.question.ranks > 0;
  std::string text;
  if (!described && started_by() != LauncherKind::none) {
    auto comm = Communicator::from_environment({.schedules = o.question.own.schedules, .plugins = o.question.own.plugins});
    if (!comm) leave(comm.error());
    if (comm->rank() != 0) return;
    text = in_this_job(*comm, o);
  } else {
    text = offline(o);
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
  command->add_flag("--json", o->json, "For programs");
  command->footer(
      with_exit_statuses("Examples: tutti explain all_reduce --bytes 1M --ranks 64 --topology \"node:8 core:8\"\n"
                         "          mpirun -np 4 tutti explain all_reduce --bytes 1M\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
