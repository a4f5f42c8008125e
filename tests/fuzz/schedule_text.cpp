// What `tutti verify FILE` reads: comes out as it was printed.
#include "tests/fuzz/fuzz.h"
#include "tutti/schedule.h"
#include "verify/verify.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto schedules = parse_schedules(text_of(input));
  if (!parsed(schedules)) return;
  std::string text;
  for (const Schedule& schedule : *schedules) text += print(schedule) + "\n";
  const auto again = parse_schedules(text);
  promise(parsed(again), "what is printed can be read");
  promise(*again == *schedules, "what is printed is what was read");
  if (text.size() < 10000) (void)verify(*schedules);  // refused or right, but it ends
}

}  // namespace tutti::fuzz
