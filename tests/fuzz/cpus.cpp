// Lists of PUs and hwloc's bitmaps.
#include "topology/cpus.h"

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const std::string_view text = text_of(input);
  constexpr std::size_t kFew = 1000;  // a million would make each try slow
  if (const auto cpus = parse_cpus(text, kFew))
    promise(parse_cpus(format_cpus(*cpus), kFew) == cpus, "a list that is printed comes back");
  if (const auto bitmap = CpuBitmap::parse(text))
    for (const int cpu : {0, 31, 32, 1000, kMaxCpu - 1}) (void)bitmap->contains(cpu);
}

}  // namespace tutti::fuzz
