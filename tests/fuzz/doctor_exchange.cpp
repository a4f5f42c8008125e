// What ranks tell each other in `tutti doctor`.
#include "doctor/job.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  if (const auto facts = doctor::facts_from_json(text_of(input)); parsed(facts)) {
    const auto again = doctor::facts_from_json(doctor::to_json(*facts));
    promise(parsed(again), "facts come back");
    doctor::Job job{{*facts, *facts}, {}};
    job.ranks.back().host += "2";
    (void)doctor::render(doctor::examine(job), true);
  }
  (void)parsed(doctor::visit_from_json(text_of(input)));
}

}  // namespace tutti::fuzz
