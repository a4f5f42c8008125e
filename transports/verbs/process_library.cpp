// By itself, so that a program can have another one linked instead.
#include "transports/verbs/library.h"

namespace tutti::verbs {

const Result<Library>& library() {
  static const Result<Library> result = load_library();
  return result;
}

}  // namespace tutti::verbs
