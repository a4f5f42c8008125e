// Who started this process.
#pragma once

#include "bootstrap/launcher.h"

namespace tutti {

// LauncherKind::none also where the variables of a launcher make no sense: whoever needs it will say so.
[[nodiscard]] inline LauncherKind started_by() {
  const auto config = Config::from_environment();
  if (!config) return LauncherKind::none;
  const auto launch = detect_launcher(*config);
  return launch ? launch->kind : LauncherKind::none;
}

}  // namespace tutti
