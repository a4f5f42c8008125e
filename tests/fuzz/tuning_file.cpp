// What `tutti tune` has written.
#include "select/tuning_file.h"

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  auto file = TuningFile::parse(text_of(input));
  if (!parsed(file)) return;
  const auto again = TuningFile::parse(file->to_json());
  promise(parsed(again) && again->layouts == file->layouts && again->hosts == file->hosts, "what is written is read");
  if (file->layouts.empty()) return;
  const TunedLayout first = file->layouts.front();
  file->put(first);
  promise(file->layouts.back() == first, "the newest is the last");
}

}  // namespace tutti::fuzz
