// Asks libibverbs, as the transport does.
#include "doctor/rdma.h"
#include "transports/verbs/survey.h"

namespace tutti::doctor {

Rdma probe_rdma() {
  const Result<verbs::Library>& library = verbs::library();
  if (!library) return {.none = library.error().to_string()};
  verbs::Survey found = verbs::survey(*library);
  Rdma rdma{.none = "", .ports = std::move(found.ports), .unsuitable = std::move(found.unsuitable)};
  for (const verbs::Survey::Refused& each : found.refused) rdma.refused.push_back({each.device, each.why.to_string()});
  return rdma;
}

}  // namespace tutti::doctor
