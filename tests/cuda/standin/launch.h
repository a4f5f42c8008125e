// How a kernel built for the host is called: extern "C" void NAME(const StandinLaunch*, void** arguments).
#pragma once

struct StandinLaunch {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
};
