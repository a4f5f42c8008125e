// Runs all schedules together on symbols: proves that they finish and what they compute, and measures them.
#pragma once

#include "tutti/schedule.h"
#include "verify/layout.h"
#include "verify/matching.h"
#include "verify/verify.h"

namespace tutti::verifier {

[[nodiscard]] Result<Proof> run(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const Numbering& numbering,
                                const Matching& matching, const VerifyOptions& options);

}  // namespace tutti::verifier
