// Unique ids, as text and as the bytes inside.
#include "bootstrap/unique_id.h"

#include <cstring>

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  UniqueId id;
  std::memcpy(id.bytes.data(), input.data(), std::min(input.size(), id.bytes.size()));
  (void)parsed(MeetingPlace::from_id(id));
  const auto told = UniqueId::from_text(text_of(input));
  if (!parsed(told)) return;
  const auto again = UniqueId::from_text(told->to_text());
  promise(parsed(again) && *again == *told, "an id comes back");
  if (const auto place = MeetingPlace::from_id(*told); parsed(place))
    promise(parsed(MeetingPlace::from_id(place->to_id())), "so does what is inside");
}

}  // namespace tutti::fuzz
